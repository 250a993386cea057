//! How long a listener waits before it connects again.
//!
//! **Invariant:** a wait is never shorter than half of the shortest one, whatever the reason of
//! the loss, so that a peer that greets each connection with rubbish is not stormed.
//!
//! Pure: randomness is an argument, and nobody sleeps here.

use std::time::Duration;

/// Exponential waits with jitter.
#[derive(Clone, Debug)]
pub struct Backoff {
    shortest: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits from `shortest`, doubled each time, up to `longest`.
    pub const fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            next: shortest,
        }
    }

    /// The wait after one more loss: between half of the doubled wait and the whole of it.
    /// `jitter` is uniform in `0.0..1.0`.
    pub fn after_loss(&mut self, jitter: f64) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.longest);
        wait.mul_f64(jitter.clamp(0.0, 1.0).mul_add(0.5, 0.5))
    }

    /// Begins anew: the last session was a healthy one.
    pub const fn reset(&mut self) {
        self.next = self.shortest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(secs(1.0), secs(60.0));
        let waits: Vec<Duration> = (0..8).map(|_| backoff.after_loss(1.0)).collect();
        assert_eq!(
            waits,
            [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0].map(secs)
        );
    }

    #[test]
    fn jitter_takes_up_to_half_away() {
        let mut backoff = Backoff::new(secs(1.0), secs(60.0));
        assert_eq!(backoff.after_loss(0.0), secs(0.5));
        assert_eq!(backoff.after_loss(0.5), secs(1.5));
    }

    #[test]
    fn a_reset_begins_with_the_shortest_wait() {
        let mut backoff = Backoff::new(secs(1.0), secs(60.0));
        for _ in 0..5 {
            backoff.after_loss(1.0);
        }
        backoff.reset();
        assert_eq!(backoff.after_loss(1.0), secs(1.0));
    }

    #[test]
    fn a_jitter_that_is_no_number_does_no_harm() {
        let wait = Backoff::new(secs(1.0), secs(60.0)).after_loss(f64::NEG_INFINITY);
        assert_eq!(wait, secs(0.5));
    }
}
