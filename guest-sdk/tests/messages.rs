//! What the compiler says about mistakes: all messages of the attributes, at their spans.

#[test]
fn every_mistake_is_told_at_its_span() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
