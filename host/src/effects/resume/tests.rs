use super::super::function::{CLOCK_NOW, HTTP_SEND};
use super::super::journal::{Entry, Phase};
use super::{Decision, ResumeError, Resumption, resumption};
use crate::broker::JournalEntry;

/// Entries of a clock (`None`) or a request that came so far.
fn journal(phases: &[Option<Phase>]) -> Vec<JournalEntry> {
    let entry = |(seq, phase): (u32, &Option<Phase>)| match phase {
        None => Entry::new(seq, &CLOCK_NOW, b"\xf6", 0).answered(vec![0], Phase::Answered),
        Some(phase) => {
            let intent = Entry::new(seq, &HTTP_SEND, b"\xa1\x63url\x65http:", 0);
            match phase {
                Phase::Intent => intent,
                _ => intent.answered(vec![0], *phase),
            }
        }
    };
    (0..).zip(phases).map(|pair| entry(pair).stored()).collect()
}

#[track_caller]
fn check_keep(phases: &[Option<Phase>], decision: Option<Decision>, keep: u32) -> Resumption {
    let plan = resumption(&journal(phases), false, decision).unwrap();
    assert_eq!(plan.keep, keep);
    plan
}

const CLOCK: Option<Phase> = None;
const DONE: Option<Phase> = Some(Phase::Answered);
const NOT_DONE: Option<Phase> = Some(Phase::NotDone);
const IN_DOUBT: Option<Phase> = Some(Phase::InDoubt);
const INTENT: Option<Phase> = Some(Phase::Intent);

#[test]
fn a_task_goes_on_after_the_last_effect_that_is_done() {
    check_keep(&[CLOCK], None, 0);
    check_keep(&[CLOCK, DONE, CLOCK, NOT_DONE], None, 2);
    check_keep(&[CLOCK, NOT_DONE, DONE, CLOCK], None, 3);
    check_keep(&[CLOCK, DONE, CLOCK, INTENT], None, 4);
}

#[test]
fn what_was_done_after_all_is_noted_as_answered() {
    let plan = check_keep(&[CLOCK, IN_DOUBT], Some(Decision::Done(b"ok".to_vec())), 2);
    let replaced = plan.replace.unwrap();
    let entry: Entry = minicbor::decode(&replaced.bytes).unwrap();
    assert_eq!((entry.seq, entry.phase), (1, Phase::Answered));
    assert!(entry.answer.unwrap().windows(2).any(|part| part == b"ok"));
}

#[test]
fn what_was_not_done_is_made_again_after_the_same_beginning() {
    let plan = check_keep(&[DONE, CLOCK, IN_DOUBT], Some(Decision::NotDone), 2);
    assert_eq!(plan.replace, None);
    check_keep(&[CLOCK, INTENT], Some(Decision::NotDone), 1);
}

#[test]
fn nothing_that_is_done_is_dropped() {
    let refused = resumption(&journal(&[IN_DOUBT, DONE]), true, Some(Decision::NotDone));
    assert!(matches!(refused, Err(ResumeError::DoneAfter { .. })));
}

#[test]
fn an_effect_in_doubt_needs_a_decision_and_is_shown() {
    let refused = resumption(&journal(&[CLOCK, IN_DOUBT]), true, None).unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("http:") && text.contains("--not-done"),
        "{text}"
    );
    let decided = resumption(&journal(&[DONE]), false, Some(Decision::NotDone));
    assert!(matches!(decided, Err(ResumeError::NothingInDoubt)));
}
