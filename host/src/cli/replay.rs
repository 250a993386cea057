//! `gwasp replay`: a VOEvent broker that plays notices from files.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::Level;

use crate::listeners::vtp::broadcast::{BroadcastConfig, Broadcaster, Totals};
use crate::listeners::vtp::replay::{Notice, Pace, Rate, Score, arrange, load};

/// How long subscribers may take what is queued when the play ends.
const GRACE: Duration = Duration::from_secs(5);

/// Notices without receipt that are named.
const NAMED: usize = 16;

/// Plays notices to VOEvent subscribers, as a broker.
///
/// Any subscriber can connect: GWASP, Comet, pygcn. A line per notice goes to stderr, and a
/// summary at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp replay examples/notices                     a notice a second, to one subscriber
  gwasp replay notices --recorded                   spaced as they were written
  gwasp replay notices --rate 100/s --until-acked   fails unless each is acknowledged")]
pub(super) struct Args {
    /// VOEvent files, and directories whose *.xml files are played in the order of their names.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Where to listen; port 0 takes a free one, which is printed.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8099")]
    listen: SocketAddr,
    #[command(flatten)]
    pace: PaceArgs,
    /// Begin again after the last notice, until stopped.
    #[arg(long = "loop", conflicts_with = "until_acked")]
    again: bool,
    /// Begin when so many subscribers are connected.
    #[arg(long, value_name = "N", default_value_t = 1)]
    wait_subscribers: usize,
    /// Fail unless each notice is acknowledged; what a lost subscriber left unacknowledged, and
    /// what was played while nobody was there, goes to the next.
    #[arg(long)]
    until_acked: bool,
    /// How long to wait for receipts after the last notice.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Who the broker says it is.
    #[arg(
        long,
        value_name = "IVOID",
        default_value = "ivo://gwasp.replay/broker"
    )]
    ivoid: String,
    /// Write a JSON object per notice, and one for the summary, to stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct PaceArgs {
    /// So many notices per time, like 10/s or 600/m.
    #[arg(long)]
    rate: Option<Rate>,
    /// Time between notices [default: 1s].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    interval: Option<Duration>,
    /// As they were written: ordered and spaced by Who/Date, gaps cut to LONGEST.
    #[arg(
        long,
        value_name = "LONGEST",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60s",
        value_parser = humantime::parse_duration
    )]
    recorded: Option<Duration>,
}

impl PaceArgs {
    fn pace(&self) -> Pace {
        if let Some(rate) = self.rate {
            Pace::Every(rate.interval)
        } else if let Some(interval) = self.interval {
            Pace::Every(interval)
        } else if let Some(longest) = self.recorded {
            Pace::Recorded { longest }
        } else {
            Pace::Every(Duration::from_secs(1))
        }
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_max_level(Level::WARN)
        .init();
    let out = Output { json: args.json };
    let loaded = load(&args.paths)?;
    for error in &loaded.passed_over {
        out.tell(&format!("passed over: {error}"))?;
    }
    let advice = "nothing to play: give VOEvent files, or directories with *.xml files";
    anyhow::ensure!(!loaded.notices.is_empty(), advice);
    let score = arrange(loaded.notices, args.pace.pace());
    broadcast(&args, &score, &out).await
}

/// Plays until the end, or until interrupted.
async fn broadcast(args: &Args, score: &Score, out: &Output) -> anyhow::Result<ExitCode> {
    let config = BroadcastConfig {
        ivoid: args.ivoid.clone(),
        resend: args.until_acked,
        ..BroadcastConfig::default()
    };
    let broadcaster = Broadcaster::bind(args.listen, config)
        .await
        .with_context(|| format!("cannot listen on {}: is another broker there?", args.listen))?;
    out.listening(broadcaster.address(), score.len())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let played = tokio::select! {
        played = play(args, score, &broadcaster, out) => played.map(|()| true)?,
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| false)?,
        _ = terminate.recv() => false,
    };
    let totals = broadcaster.close(GRACE).await;
    out.summary(totals)?;
    let all_acked = played && totals.unacked == 0 && totals.naked == 0 && totals.acked > 0;
    Ok(if all_acked || !args.until_acked {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Waits for subscribers, plays the score, and waits for receipts.
async fn play(
    args: &Args,
    score: &Score,
    broadcaster: &Broadcaster,
    out: &Output,
) -> anyhow::Result<()> {
    broadcaster
        .wait_for_subscribers(args.wait_subscribers)
        .await;
    let mut n = 0;
    loop {
        play_once(args, score, broadcaster, out, &mut n).await?;
        if !args.again {
            break;
        }
        // A loop of one notice without a wait must not starve everything else.
        tokio::task::yield_now().await;
    }
    if timeout(args.timeout, broadcaster.settled()).await.is_err() {
        out.tell(&format!("receipts are missing after {:?}:", args.timeout))?;
        for ivorn in broadcaster.unacked(NAMED) {
            out.tell(&format!("  {}", ivorn.escape_debug()))?;
        }
    }
    Ok(())
}

async fn play_once(
    args: &Args,
    score: &Score,
    broadcaster: &Broadcaster,
    out: &Output,
    n: &mut u64,
) -> anyhow::Result<()> {
    // A fixed pace catches up after a hold-up; recorded gaps are slept one by one.
    let mut ticks = match args.pace.pace() {
        Pace::Every(pause) if !pause.is_zero() => Some(interval(pause)),
        _ => None,
    };
    if let Some(ticks) = &mut ticks {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    }
    for (wait, notice) in score {
        match &mut ticks {
            Some(ticks) => _ = ticks.tick().await,
            None if wait.is_zero() => {}
            None => sleep(*wait).await,
        }
        let subscribers = broadcaster.publish(&notice.event).await;
        *n += 1;
        out.sent(*n, notice, subscribers)?;
    }
    if let (Some(ticks), true) = (&mut ticks, args.again) {
        ticks.tick().await;
    }
    Ok(())
}

/// A notice that was sent, as JSON.
#[derive(Debug, Serialize)]
struct Sent<'a> {
    event: &'static str,
    n: u64,
    time: Timestamp,
    ivorn: &'a str,
    notice_type: Option<String>,
    file: String,
    subscribers: usize,
}

#[derive(Debug, Serialize)]
struct Listening {
    event: &'static str,
    address: SocketAddr,
    notices: usize,
}

#[derive(Debug, Serialize)]
struct Summary {
    event: &'static str,
    totals: Totals,
}

/// Talk goes to stderr, JSON to stdout.
struct Output {
    json: bool,
}

impl Output {
    fn tell(&self, line: &str) -> io::Result<()> {
        writeln!(io::stderr().lock(), "{line}")
    }

    fn object(&self, object: &impl Serialize) -> anyhow::Result<()> {
        if self.json {
            let line = serde_json::to_string(object)?;
            writeln!(io::stdout().lock(), "{line}")?;
        }
        Ok(())
    }

    fn listening(&self, address: SocketAddr, notices: usize) -> anyhow::Result<()> {
        self.object(&Listening {
            event: "listening",
            address,
            notices,
        })?;
        Ok(self.tell(&format!("listening on {address} with {notices} notices"))?)
    }

    fn sent(&self, n: u64, notice: &Notice, subscribers: usize) -> anyhow::Result<()> {
        let notice_type = notice
            .notice_type
            .map(|notice_type| notice_type.to_string());
        let ivorn = &*notice.event.ivorn;
        let shown = notice_type.as_deref().unwrap_or("-");
        let ivorn_shown = ivorn.escape_debug();
        self.tell(&format!(
            "{n} {shown} {ivorn_shown} to {subscribers} subscribers"
        ))?;
        self.object(&Sent {
            event: "sent",
            n,
            time: Timestamp::now(),
            ivorn,
            notice_type,
            file: notice.path.display().to_string(),
            subscribers,
        })
    }

    fn summary(&self, totals: Totals) -> anyhow::Result<()> {
        self.object(&Summary {
            event: "summary",
            totals,
        })?;
        let Totals {
            published,
            sent,
            acked,
            naked,
            unacked,
            unheard,
            connections,
            evicted,
        } = totals;
        Ok(self.tell(&format!(
            "published {published}, sent {sent}, acked {acked}, naked {naked}, \
             unacked {unacked}, unheard {unheard}; {connections} connections, {evicted} evicted"
        ))?)
    }
}
