use super::{Context, Error, FailureKind};

#[test]
fn the_chain_survives_a_conversion_and_two_contexts() {
    let cause = std::io::Error::other("disk on fire");
    let error = Err::<(), _>(cause)
        .context("cannot read the map")
        .context("no notice sent")
        .unwrap_err();
    assert_eq!(
        error.chain(),
        ["no notice sent", "cannot read the map", "disk on fire"]
    );
    assert_eq!(error.to_string(), "no notice sent");
    assert_eq!(
        format!("{error:#}"),
        "no notice sent: cannot read the map: disk on fire"
    );
}

#[test]
fn context_keeps_the_kind() {
    let error = Err::<(), _>(Error::permanent("withdrawn"))
        .context("cannot localize")
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::Permanent);
}

#[test]
fn a_debug_text_has_a_line_for_each_cause() {
    let error = Error::parse("no root element").context("cannot read the notice");
    assert_eq!(
        format!("{error:?}"),
        "Parse: cannot read the notice\ncaused by: no root element"
    );
}
