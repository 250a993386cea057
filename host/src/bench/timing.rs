//! Clocks of CPU time, medians and quantiles.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of the whole process.
pub(super) fn process_cpu() -> Duration {
    cpu(ClockId::ProcessCPUTime)
}

/// CPU time of this thread.
pub(super) fn thread_cpu() -> Duration {
    cpu(ClockId::ThreadCPUTime)
}

fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The value that `permille` of `times` are below, in microseconds.
pub(super) fn quantile_us(times: &mut [Duration], permille: usize) -> f64 {
    times.sort_unstable();
    let at = times.len().saturating_sub(1) * permille / 1000;
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

/// The middle of `values`, or the mean of the two in the middle.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{median, quantile_us};

    #[track_caller]
    fn check_is(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        check_is(median([3.0, 1.0, 2.0]), 2.0);
        check_is(median([4.0, 1.0, 3.0, 2.0]), 2.5);
        check_is(median([]), 0.0);
    }

    #[test]
    fn a_quantile_is_a_time_that_was_measured() {
        let mut times: Vec<Duration> = (0..=100).map(Duration::from_micros).rev().collect();
        check_is(quantile_us(&mut times, 500), 50.0);
        check_is(quantile_us(&mut times, 990), 99.0);
        check_is(quantile_us(&mut [], 500), 0.0);
    }
}
