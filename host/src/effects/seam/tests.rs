mod rig;

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::super::Run;
use super::super::bindings::gwasp::plugin::kernels::{Error, Host as _, SkyMapOptions};
use super::super::bindings::gwasp::plugin::tasks::{Datetime, Host as _};
use super::super::driver::Driver;
use super::super::function::{CLOCK_NOW, HTTP_SEND, KERNELS_LOCALIZE};
use super::super::journal::{JournalError, Phase};
use super::super::kernels::{KernelFault, KernelThreads, computed, keep};
use super::super::noted::{KernelAnswer, LocalizeRequest};
use super::{Made, Seam, SeamError, Settled};
use crate::broker::{Broker as _, Wait};
use crate::config::{Grant, KernelsConfig};
use crate::packet::Digest;
use rig::{Fake, Kept, Rig};

/// Reads the clock, then makes an effect, as handlers do.
async fn clock_then(seam: &mut Seam, fake: &Fake, time: u64) -> Result<(u64, String), SeamError> {
    let time = seam
        .answered(&CLOCK_NOW, &(), async move { Ok(time) })
        .await?;
    let answer = seam.external(&HTTP_SEND, &time, None, fake).await?;
    Ok((time, answer))
}

fn done(answer: &str) -> Made<String> {
    Made::Done(answer.to_owned())
}

#[tokio::test]
async fn the_intent_and_all_before_it_are_on_disk_before_the_request_leaves() {
    let rig = Rig::new().await;
    let fake = Fake::new([done("201")]);
    let kept = rig.kept();
    let at_make = kept.clone();
    fake.at_make(move || at_make.look());
    let mut seam = rig.seam();
    clock_then(&mut seam, &fake, 7).await.unwrap();
    assert_eq!(
        kept.seen(),
        [
            ("gwasp:clock/now@0.1".to_owned(), Phase::Answered),
            ("gwasp:http/send@0.1".to_owned(), Phase::Intent),
        ]
    );
}

#[tokio::test]
async fn a_replay_gives_the_noted_answers_and_makes_nothing() {
    let mut rig = Rig::new().await;
    let fake = Fake::new([done("201")]);
    let mut seam = rig.seam();
    let first = clock_then(&mut seam, &fake, 7).await.unwrap();
    seam.save().await.unwrap();
    drop(seam);
    rig.crash().await;

    let again = Fake::new([]);
    let mut seam = rig.seam();
    assert_eq!(clock_then(&mut seam, &again, 8).await.unwrap(), first);
    assert_eq!(first, (7, "201".to_owned()));
    assert!(again.keys().is_empty() && fake.keys().len() == 1);
}

#[tokio::test]
async fn another_request_on_a_replay_ends_the_run_with_the_first_difference() {
    let mut rig = Rig::new().await;
    let mut seam = rig.seam();
    clock_then(&mut seam, &Fake::new([done("201")]), 7)
        .await
        .unwrap();
    seam.save().await.unwrap();
    drop(seam);
    rig.crash().await;

    let mut seam = rig.seam();
    let fake = Fake::new([]);
    let asked = seam.external(&HTTP_SEND, &7_u64, None, &fake).await;
    let error = asked.unwrap_err();
    assert!(
        matches!(
            &error,
            SeamError::Journal(JournalError::Differs { seq: 0, .. })
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_retry_keeps_what_is_done_and_asks_again_for_what_is_not() {
    let rig = Rig::new().await;
    let fake = Fake::new([done("201"), Made::NotDone("503".to_owned())]);
    let mut seam = rig.seam();
    clock_then(&mut seam, &fake, 7).await.unwrap();
    let (_, answer) = clock_then(&mut seam, &fake, 8).await.unwrap();
    assert_eq!(answer, "503", "the handler sees it");
    let leg = seam.finish().await;
    assert_eq!(leg.keep_for_retry, 2);
    rig.retry(leg).await;

    let again = Fake::new([done("202")]);
    let mut seam = rig.seam();
    let first = clock_then(&mut seam, &again, 9).await.unwrap();
    let second = clock_then(&mut seam, &again, 9).await.unwrap();
    assert_eq!((first.0, second.0), (7, 9), "what came after is read anew");
    assert_eq!(again.keys(), fake.keys()[1..], "under the same key");
}

#[tokio::test]
async fn a_key_does_not_depend_on_how_often_the_clock_was_read_before() {
    let rig = Rig::new().await;
    let fake = Fake::new([Made::NotDone("503".to_owned()), done("201")]);
    let mut seam = rig.seam();
    clock_then(&mut seam, &fake, 7).await.unwrap();
    rig.retry(seam.finish().await).await;

    let mut seam = rig.seam();
    for time in 0..3 {
        let live = async move { Ok(time) };
        seam.answered::<u64>(&CLOCK_NOW, &(), live).await.unwrap();
    }
    clock_then(&mut seam, &fake, 8).await.unwrap();
    let keys = fake.keys();
    assert_eq!(keys[0], keys[1]);
}

/// The journal of a run whose host died while its request was under way.
async fn died_in_flight(rig: &mut Rig) -> String {
    let fake = Fake::new([]);
    let mut seam = rig.seam();
    tokio::select! {
        ended = clock_then(&mut seam, &fake, 7) => panic!("{ended:?}"),
        () = fake.reached() => {}
    }
    drop(seam);
    rig.crash().await;
    fake.keys().remove(0)
}

#[tokio::test]
async fn a_known_key_with_another_request_ends_the_run_and_sends_nothing() {
    let mut rig = Rig::new().await;
    died_in_flight(&mut rig).await;
    let fake = Fake::new([]);
    let mut seam = rig.seam();
    let live = async { Ok(8) };
    seam.answered::<u64>(&CLOCK_NOW, &(), live).await.unwrap();
    let asked = seam.external(&HTTP_SEND, &9_u64, None, &fake).await;
    let differs = matches!(
        asked,
        Err(SeamError::Journal(JournalError::Differs { seq: 1, .. }))
    );
    assert!(differs, "{asked:?}");
    assert!(fake.keys().is_empty());
}

#[tokio::test]
async fn what_may_be_done_is_asked_for_under_the_same_key_though_its_body_has_another_time() {
    let rig = Rig::new().await;
    let fake = Fake::new([Made::NotDone("500".to_owned()), done("201")]);
    let mut seam = rig.seam();
    clock_then(&mut seam, &fake, 7).await.unwrap();
    rig.retry(seam.finish().await).await;
    let (time, _) = clock_then(&mut rig.seam(), &fake, 8).await.unwrap();
    assert_eq!(time, 8, "the request is another");
    let keys = fake.keys();
    assert_eq!(keys[0], keys[1]);
}

#[track_caller]
fn check_last(kept: &Kept, phase: Phase) {
    kept.look();
    let entries = kept.seen();
    assert_eq!(entries.last().map(|(_, phase)| *phase), Some(phase));
}

#[tokio::test]
async fn an_effect_in_doubt_that_was_done_is_not_made_again() {
    let mut rig = Rig::new().await;
    died_in_flight(&mut rig).await;
    let fake = Fake::new([]).settling([Settled::Done("201".to_owned())]);
    let mut seam = rig.seam();
    let (time, answer) = clock_then(&mut seam, &fake, 8).await.unwrap();
    assert_eq!((time, answer.as_str()), (7, "201"));
    assert!(fake.keys().is_empty());
    seam.save().await.unwrap();
    check_last(&rig.kept(), Phase::Answered);
}

#[tokio::test]
async fn an_effect_in_doubt_that_was_not_done_is_made_under_the_same_key() {
    let mut rig = Rig::new().await;
    let key = died_in_flight(&mut rig).await;
    let fake = Fake::new([done("201")]).settling([Settled::Again]);
    let mut seam = rig.seam();
    let (time, _) = clock_then(&mut seam, &fake, 8).await.unwrap();
    assert_eq!((time, fake.keys()), (7, vec![key]));
}

#[tokio::test]
async fn an_effect_is_settled_however_often_the_host_dies_over_it() {
    let mut rig = Rig::new().await;
    let key = died_in_flight(&mut rig).await;
    for _ in 0..2 {
        let fake = Fake::new([]).settling([Settled::Again]);
        let mut seam = rig.seam();
        tokio::select! {
            ended = clock_then(&mut seam, &fake, 8) => panic!("{ended:?}"),
            () = fake.reached() => {}
        }
        assert_eq!(fake.keys(), std::slice::from_ref(&key));
        drop(seam);
        rig.crash().await;
    }
    let fake = Fake::new([]).settling([Settled::Done("201".to_owned())]);
    let mut seam = rig.seam();
    let (time, _) = clock_then(&mut seam, &fake, 9).await.unwrap();
    assert_eq!((time, fake.keys().len()), (7, 0));
}

#[tokio::test]
async fn where_nobody_can_be_asked_the_handler_is_told_and_that_is_noted() {
    let mut rig = Rig::new().await;
    died_in_flight(&mut rig).await;
    let fake = Fake::new([]).settling([Settled::Never("opaque".to_owned())]);
    let mut seam = rig.seam();
    let (_, told) = clock_then(&mut seam, &fake, 8).await.unwrap();
    assert!(
        told.starts_with("in doubt: ") && told.contains("opaque"),
        "{told}"
    );
    seam.save().await.unwrap();
    check_last(&rig.kept(), Phase::InDoubt);
    drop(seam);

    rig.crash().await;
    let mut seam = rig.seam();
    let (_, again) = clock_then(&mut seam, &Fake::new([]), 9).await.unwrap();
    assert_eq!(again, told, "nobody is asked a second time");
}

#[tokio::test]
async fn where_nobody_answers_just_now_another_attempt_settles_it() {
    let mut rig = Rig::new().await;
    let key = died_in_flight(&mut rig).await;
    let fake = Fake::new([]).settling([Settled::Later("down".to_owned())]);
    let mut seam = rig.seam();
    let error = clock_then(&mut seam, &fake, 8).await.unwrap_err();
    assert!(matches!(error, SeamError::Unsettled { .. }), "{error:?}");
    let leg = seam.finish().await;
    assert_eq!(leg.keep_for_retry, 2);
    rig.retry(leg).await;
    check_last(&rig.kept(), Phase::Intent);

    // In the same process, and without a wait: the request is known to be over.
    let fake = Fake::new([done("201")]).settling([Settled::Again]);
    let mut seam = rig.seam();
    let (time, _) = clock_then(&mut seam, &fake, 8).await.unwrap();
    assert_eq!((time, fake.keys()), (7, vec![key]));
}

#[tokio::test]
async fn an_effect_that_stays_without_an_answer_is_made_twice_per_attempt_at_most() {
    let rig = Rig::new().await;
    let silence = || Made::InDoubt("closed".to_owned());
    let fake = Fake::new([silence(), silence(), silence()]).settling([
        Settled::Again,
        Settled::Again,
        Settled::Again,
    ]);
    let mut seam = rig.seam();
    let error = clock_then(&mut seam, &fake, 7).await.unwrap_err();
    assert!(matches!(error, SeamError::Unsettled { .. }), "{error:?}");
    let keys = fake.keys();
    assert_eq!((keys.len(), &keys[0]), (2, &keys[1]));
}

#[tokio::test]
async fn an_answer_is_not_waited_for_on_its_way_to_the_disk() {
    let rig = Rig::new().await;
    rig.broker.withhold_answers();
    let fake = Fake::new((0..5).map(|_| done("201")));
    let mut seam = rig.seam();
    for time in 0..5 {
        clock_then(&mut seam, &fake, time).await.unwrap();
    }
    assert_eq!(
        rig.broker.awaited(),
        5,
        "one commit per effect; the outcome's follows"
    );
    rig.broker.release();
    let leg = seam.finish().await;
    assert!(!leg.is_fenced);
    rig.retry(leg).await;
    let kept = rig.kept();
    kept.look();
    assert_eq!(kept.seen().len(), 10, "and nothing is missing");
}

#[tokio::test]
async fn what_the_broker_did_not_keep_goes_along_with_the_next_commit() {
    let rig = Rig::new().await;
    let fake = Fake::new([done("201")]);
    let mut seam = rig.seam();
    let broker = rig.broker.clone();
    fake.at_make(move || broker.fail_next());
    clock_then(&mut seam, &fake, 7).await.unwrap();
    let leg = seam.finish().await;
    let seqs: Vec<u32> = leg.journal.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [1]);
    rig.retry(leg).await;
    check_last(&rig.kept(), Phase::Answered);
}

#[tokio::test]
async fn a_run_that_is_ended_before_its_request_leaves_is_not_in_doubt() {
    let rig = Rig::new().await;
    rig.broker.withhold_all();
    let fake = Fake::new([done("201")]);
    let mut seam = rig.seam();
    assert!(clock_then(&mut seam, &fake, 7).now_or_never().is_none());
    rig.broker.release();
    let leg = seam.finish().await;
    assert_eq!(leg.keep_for_retry, 0);
    rig.give_back(leg).await;
    check_last(&rig.kept(), Phase::NotDone);

    // The journal stays, and the effect is made for the first time.
    let mut seam = rig.seam();
    let (time, answer) = clock_then(&mut seam, &fake, 8).await.unwrap();
    assert_eq!((time, answer.as_str()), (7, "201"));
}

#[tokio::test]
async fn a_run_that_is_ended_while_its_request_is_under_way_notes_the_answer() {
    let rig = Rig::new().await;
    let fake = Fake::new([done("201")]);
    let mut seam = rig.seam();
    let hold = seam.hold();
    let in_make = hold.clone();
    fake.at_make(move || assert!(in_make.end(), "a request is under way"));
    let error = clock_then(&mut seam, &fake, 7).await.unwrap_err();
    assert!(matches!(error, SeamError::Ended), "{error:?}");
    assert!(!hold.end(), "it is over");
    let leg = seam.finish().await;
    assert_eq!(leg.keep_for_retry, 2);
    rig.retry(leg).await;
    check_last(&rig.kept(), Phase::Answered);
}

#[tokio::test]
async fn a_refusal_is_noted_without_an_intent() {
    let rig = Rig::new().await;
    let fake = Fake::new([]).refusing("no grant");
    let mut seam = rig.seam();
    let (_, answer) = clock_then(&mut seam, &fake, 7).await.unwrap();
    assert_eq!(answer, "no grant");
    assert_eq!(rig.broker.awaited(), 0);
    assert_eq!(seam.finish().await.keep_for_retry, 0);
}

#[tokio::test]
async fn an_answer_without_room_is_noted_as_such() {
    let rig = Rig::new().await;
    let long = "x".repeat(7 << 20);
    let fake = Fake::new([done(&long), done(&long), done("201")]);
    let mut seam = rig.seam();
    let (_, first) = clock_then(&mut seam, &fake, 7).await.unwrap();
    let (_, second) = clock_then(&mut seam, &fake, 8).await.unwrap();
    let (_, third) = clock_then(&mut seam, &fake, 9).await.unwrap();
    assert_eq!(
        (first.len(), second.as_str(), third.as_str()),
        (7 << 20, "too long", "201")
    );
    assert_eq!(
        seam.finish().await.keep_for_retry,
        6,
        "it is done all the same"
    );
}

#[tokio::test]
async fn an_old_token_makes_nothing() {
    let mut rig = Rig::new().await;
    let mut seam = rig.seam();
    rig.lose_lease().await;
    let fake = Fake::new([done("201")]);
    let error = clock_then(&mut seam, &fake, 7).await.unwrap_err();
    let fenced = matches!(
        &error,
        SeamError::Broker(crate::broker::BrokerError::Fenced { .. })
    );
    assert!(fenced && fake.keys().is_empty(), "{error:?}");
}

/// What localizes no candidate: a computation would say so.
const NO_COINC: &[u8] = b"<LIGO_LW/>";

/// The sky map that a run gets for a file without a candidate.
async fn localize(run: &mut Run) -> wasmtime::Result<Result<Bytes, Error>> {
    let bytes = Bytes::from_static(NO_COINC);
    let coinc = run.hold_blob(Digest::of(&bytes), bytes)?;
    let options = SkyMapOptions {
        waveform: "TaylorF2".to_owned(),
        f_low: 15.0,
        f_high_truncate: 0.95,
        min_distance: 0.0,
        max_distance: None,
        distance_power: 2,
        cosmology: false,
        use_snr_series: true,
        rescale_loglikelihood: 0.83,
        disabled_detectors: Vec::new(),
        object: None,
    };
    let map = run.localize(coinc, None, options).await?;
    Ok(match map {
        Ok(map) => Ok(run.table().get(&map)?.bytes.clone()),
        Err(error) => Err(error),
    })
}

/// Notes that the file without a candidate was localized, and what its map is.
async fn note_map(seam: &mut Seam, map: &[u8]) {
    let coinc = Digest::of(NO_COINC).to_string();
    let request = LocalizeRequest {
        coinc: &coinc,
        psd: None,
        waveform: "TaylorF2",
        f_low: 15.0,
        f_high_truncate: 0.95,
        min_distance: 0.0,
        max_distance: None,
        distance_power: 2,
        cosmology: false,
        use_snr_series: true,
        rescale: 0.83,
        disabled_detectors: &[],
        object: None,
    };
    let answer = KernelAnswer::Blob(Digest::of(map).to_string());
    let live = async { Ok(answer) };
    seam.answered(&KERNELS_LOCALIZE, &request, live)
        .await
        .unwrap();
    seam.save().await.unwrap();
}

#[tokio::test]
async fn a_replay_gives_the_noted_map_and_computes_nothing() {
    let mut rig = Rig::new().await;
    let map = Bytes::from_static(b"a sky map");
    rig.broker.put_blob(map.clone()).await.unwrap();
    note_map(&mut rig.seam(), &map).await;
    rig.crash().await;
    let mut run = Run::new(rig.seam(), 1 << 20);
    assert_eq!(localize(&mut run).await.unwrap().unwrap(), map);
    // The next one is new, and computed.
    let computed = localize(&mut run).await.unwrap();
    assert!(matches!(computed, Err(Error::Input(_))), "{computed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_map_that_finds_no_space_waits_for_it() {
    let rig = Rig::new().await;
    rig.broker.be_full(3);
    let Driver::Live(live) = rig.seam().driver() else {
        panic!("the rig's runs are live");
    };
    let map = Bytes::from_static(b"a sky map");
    keep(&live, map.clone()).await.unwrap();
    let kept = rig.broker.blob(Digest::of(&map).as_bytes()).unwrap();
    assert_eq!(kept, Some(map));
}

#[tokio::test]
async fn a_plugin_without_the_grant_computes_nothing_and_is_told_the_lines_to_add() {
    let mut rig = Rig::new().await;
    rig.grant = Grant::default();
    let mut run = Run::new(rig.seam(), 1 << 20);
    let Err(Error::Denied(told)) = localize(&mut run).await.unwrap() else {
        panic!("it has no grant");
    };
    assert!(told.contains("[grants.p]\n    kernels = true\n"), "{told}");
    run.seam.save().await.unwrap();
    drop(run);
    rig.crash().await;

    // What it was told still holds when the run is taken up again.
    rig.grant.kernels = true;
    let mut run = Run::new(rig.seam(), 1 << 20);
    let again = localize(&mut run).await.unwrap();
    assert!(matches!(&again, Err(Error::Denied(same)) if *same == told));
    let computed = localize(&mut run).await.unwrap();
    assert!(matches!(computed, Err(Error::Input(_))), "{computed:?}");
}

#[tokio::test]
async fn a_computation_that_panics_ends_the_run_and_is_not_noted() {
    let rig = Rig::new().await;
    let mut seam = rig.seam();
    let threads = KernelThreads::new(&KernelsConfig::default());
    let live = async {
        let made = computed(&threads, |_work| panic!("for the test")).await?;
        Ok(made.map_or_else(
            |refusal| refusal,
            |map| KernelAnswer::Blob(Digest::of(&map).to_string()),
        ))
    };
    let answer = seam.answered(&KERNELS_LOCALIZE, &(), live).await;
    assert!(
        matches!(answer, Err(SeamError::Kernel(KernelFault::Panicked))),
        "{answer:?}"
    );
    assert!(seam.finish().await.journal.is_empty());
}

#[tokio::test]
async fn a_noted_map_that_is_gone_ends_the_run() {
    let mut rig = Rig::new().await;
    note_map(&mut rig.seam(), b"never kept").await;
    rig.crash().await;
    let mut run = Run::new(rig.seam(), 1 << 20);
    let error = localize(&mut run).await.unwrap_err();
    let error = error.downcast_ref::<SeamError>();
    assert!(
        matches!(error, Some(SeamError::BlobGone { .. })),
        "{error:?}"
    );
}

/// Makes an effect in a task that a restored store brought back.
async fn asked(fake: &Fake, key: Option<&str>) -> Result<String, SeamError> {
    let mut rig = Rig::new().await;
    rig.is_asked = true;
    let key = key.map(str::to_owned);
    let mut seam = rig.seam();
    seam.external(&HTTP_SEND, &7, key, fake).await
}

#[tokio::test]
async fn what_a_restored_task_makes_is_asked_for_before_it_is_made() {
    let settled = Settled::Done("it is there".to_owned());
    let was_made = Fake::new([]).settling([settled]);
    assert_eq!(asked(&was_made, None).await.unwrap(), "it is there");
    assert!(was_made.keys().is_empty());

    let was_not = Fake::new([done("201")]).settling([Settled::Again]);
    assert_eq!(asked(&was_not, None).await.unwrap(), "201");
    assert_eq!(was_not.keys().len(), 1);

    let later = Fake::new([]).settling([Settled::Later("503".to_owned())]);
    let later = asked(&later, None).await.unwrap_err();
    assert!(matches!(later, SeamError::Unsettled { .. }), "{later}");
}

#[tokio::test]
async fn a_restored_task_is_told_of_doubt_where_nobody_can_be_asked() {
    let opaque = Fake::new([]).settling([Settled::Never("it has no resolve".to_owned())]);
    let answer = asked(&opaque, None).await.unwrap();
    assert!(answer.starts_with("in doubt"), "{answer}");
    // A key that was drawn anew is known to no service.
    let drawn = Fake::new([]);
    let answer = asked(&drawn, Some("a-new-uuid")).await.unwrap();
    assert!(answer.contains("restored from a backup"), "{answer}");
    assert!(drawn.keys().is_empty());
}

#[tokio::test]
async fn a_run_that_is_to_end_gets_no_further_than_its_next_call() {
    let rig = Rig::new().await;
    let fake = Fake::new([done("201")]);
    let mut seam = rig.seam();
    assert!(!seam.hold().end());
    let ended = clock_then(&mut seam, &fake, 7).await.unwrap_err();
    assert!(matches!(ended, SeamError::Ended), "{ended}");
    assert!(fake.keys().is_empty());
}

/// Reads the clock, then sleeps, as handlers do.
async fn clock_then_sleep(run: &mut Run, until: u64) -> wasmtime::Result<()> {
    let time = async { Ok(7_u64) };
    run.seam.answered(&CLOCK_NOW, &(), time).await?;
    let moment = Datetime {
        seconds: until,
        nanoseconds: 0,
    };
    let slept = run.sleep_until(moment).await?;
    slept.map_err(|error| wasmtime::Error::msg(format!("{error:?}")))
}

/// 2200-01-01T00:00:00Z.
const LATER: u64 = 7_258_118_400;

#[track_caller]
fn check_parked(slept: wasmtime::Result<()>) -> Wait {
    let error = slept.unwrap_err();
    match error.downcast_ref::<SeamError>() {
        Some(SeamError::Parked(on)) => *on,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_sleep_that_is_not_over_is_noted_with_all_before_it_and_ends_the_leg() {
    let rig = Rig::new().await;
    let mut run = Run::new(rig.seam(), 0);
    let on = check_parked(clock_then_sleep(&mut run, LATER).await);
    assert_eq!(on, Wait::Until(7_258_118_400_000_000_000));
    let leg = run.seam.finish().await;
    let seqs: Vec<u32> = leg.journal.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [0, 1]);
    assert_eq!(leg.parking.unwrap().seq, Some(1));
    assert_eq!(leg.keep_for_retry, 0, "another attempt begins it anew");
}

#[tokio::test]
async fn a_run_that_is_woken_early_waits_on_and_notes_nothing() {
    let rig = Rig::new().await;
    let mut run = Run::new(rig.seam(), 0);
    check_parked(clock_then_sleep(&mut run, LATER).await);
    rig.give_back(run.seam.finish().await).await;

    let mut run = Run::new(rig.seam(), 0);
    check_parked(clock_then_sleep(&mut run, LATER).await);
    let leg = run.seam.finish().await;
    assert!(leg.journal.is_empty(), "{:?}", leg.journal);
    assert_eq!(leg.parking.unwrap().seq, None);
}

#[tokio::test]
async fn a_sleep_that_is_over_is_not_slept_again_by_a_retry() {
    let rig = Rig::new().await;
    let mut run = Run::new(rig.seam(), 0);
    clock_then_sleep(&mut run, 1).await.unwrap();
    let leg = run.seam.finish().await;
    assert!(leg.parking.is_none());
    assert_eq!(leg.keep_for_retry, 2);
}

#[tokio::test]
async fn another_sleep_on_a_replay_ends_the_run_with_the_first_difference() {
    let rig = Rig::new().await;
    let mut run = Run::new(rig.seam(), 0);
    check_parked(clock_then_sleep(&mut run, LATER).await);
    rig.give_back(run.seam.finish().await).await;

    let mut run = Run::new(rig.seam(), 0);
    let slept = clock_then_sleep(&mut run, LATER + 1).await;
    let error = slept.unwrap_err();
    let differs = error.downcast_ref::<SeamError>();
    assert!(
        matches!(
            differs,
            Some(SeamError::Journal(JournalError::Differs { seq: 1, .. }))
        ),
        "{error:?}"
    );
}
