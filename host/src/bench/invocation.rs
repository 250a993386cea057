//! A fresh sandbox and one call: bare wasmtime beside ours.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

use super::fixture::{packet, queue};
use super::timing::quantile_us;
use super::{Bench, BenchError, Figure};
use crate::broker::{Input, PacketRecord, PacketSeq, Revocation, TaskId};
use crate::config::KernelsConfig;
use crate::dispatch::new_packet;
use crate::effects::bindings::PluginPre;
use crate::effects::bindings::gwasp::plugin::types;
use crate::effects::{self, Context, Driver, DryRun, Journal, KernelThreads, Limits, Run, Seam};
use crate::plugins::queue_engine;
use crate::workers::{Ended, Invocation, guest_input};

const TURNS: u32 = 20_000;
/// Turns before those that count.
const WARM_UP: u32 = 500;
const PAYLOAD: usize = 2048;
const HANDLER: &str = "one";

impl Bench {
    /// Instantiates and calls, without the host and with it, in turns.
    pub(super) fn invocation(&mut self) -> Result<Vec<Figure>, BenchError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let engine = queue_engine(&queue(1))?;
        self.ticker.drive(&engine);
        let component = self.plugin.compiled.load(&engine)?;
        let floor = without_imports(&engine, &component)?;
        let mut linker: Linker<Run> = Linker::new(&engine);
        effects::link(&mut linker)?;
        let ours = PluginPre::new(linker.instantiate_pre(&component)?)?;
        let input = input();
        let (mut bare, mut sandboxed) = (Vec::new(), Vec::new());
        for turn in 0..WARM_UP + TURNS * self.settings.scale {
            let times = (
                runtime.block_on(self.call_bare(&floor, &input))?,
                runtime.block_on(self.call_sandboxed(&ours, &input))?,
            );
            if turn >= WARM_UP {
                bare.push(times.0);
                sandboxed.push(times.1);
            }
        }
        self.bare_call = Some(quantile_us(&mut bare, 500));
        Ok(figures(&mut bare, &mut sandboxed))
    }

    async fn call_bare(
        &self,
        pre: &PluginPre<()>,
        input: &types::Input,
    ) -> Result<Duration, BenchError> {
        let input = black_box(input.clone());
        // The ticker runs in both turns; waking it is not what is measured.
        let running = self.ticker.running();
        let began = Instant::now();
        let mut store = Store::new(pre.engine(), ());
        store.set_epoch_deadline(u64::from(u32::MAX));
        let plugin = pre.instantiate_async(&mut store).await?;
        let result = plugin.call_handle(&mut store, HANDLER, &input).await?;
        drop(store);
        let took = began.elapsed();
        drop(running);
        match result {
            Ok(_) => Ok(took),
            Err(failure) => Err(BenchError::Call(failure.message)),
        }
    }

    async fn call_sandboxed(
        &self,
        pre: &PluginPre<Run>,
        input: &types::Input,
    ) -> Result<Duration, BenchError> {
        let input = black_box(input.clone());
        let never = CancellationToken::new();
        let dry = DryRun::new(
            Timestamp::UNIX_EPOCH,
            TaskId([0; 16]),
            KernelThreads::new(&KernelsConfig::default()),
            Arc::default(),
            Vec::new(),
        );
        let driver = Driver::Dry(Arc::new(dry));
        let running = self.ticker.running();
        let began = Instant::now();
        let context = Context {
            plugin: self.plugin.name.clone(),
            handler: HANDLER.to_owned(),
            grant: Arc::default(),
        };
        let invocation = Invocation {
            handler: HANDLER,
            input,
            timeout: Duration::from_secs(60),
            deadline: None,
            memory: 64 << 20,
            cancelled: &never,
            revocation: Revocation::default(),
        };
        let seam = Seam::new(context, driver, Limits::default(), Journal::default());
        let invoked = invocation.run(pre, seam, &self.ticker).await;
        let took = began.elapsed();
        drop(running);
        match invoked.ended {
            Ended::Done(_) => Ok(took),
            ended => Err(BenchError::Call(format!("{ended:?}"))),
        }
    }
}

/// The component with nothing behind its imports.
fn without_imports(engine: &Engine, component: &Component) -> Result<PluginPre<()>, BenchError> {
    let mut linker: Linker<()> = Linker::new(engine);
    linker.define_unknown_imports_as_traps(component)?;
    Ok(PluginPre::new(linker.instantiate_pre(component)?)?)
}

fn input() -> types::Input {
    let payload = Bytes::from(vec![b'x'; PAYLOAD]);
    let record = PacketRecord {
        seq: PacketSeq(0),
        packet: new_packet(&packet(60_001, 0, payload)),
    };
    guest_input(&Input::Packet(Arc::new(record)))
}

fn figures(bare: &mut [Duration], ours: &mut [Duration]) -> Vec<Figure> {
    let figure = |figure, value, unit| Figure {
        bench: "invocation",
        figure,
        value,
        unit,
    };
    let (bare_median, our_median) = (quantile_us(bare, 500), quantile_us(ours, 500));
    vec![
        figure("bare wasmtime, median", bare_median, "µs"),
        figure("bare wasmtime, p99", quantile_us(bare, 990), "µs"),
        figure("ours, median", our_median, "µs"),
        figure("ours, p99", quantile_us(ours, 990), "µs"),
        figure(
            "ours / bare wasmtime, of the medians",
            our_median / bare_median,
            "×",
        ),
    ]
}
