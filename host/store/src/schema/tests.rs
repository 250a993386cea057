use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn texts_come_back_as_they_were_joined(texts in prop::collection::vec(".*", 0..6)) {
        let joined = join_texts(texts.iter().map(String::as_str));
        prop_assert_eq!(joined.is_none(), texts.is_empty());
        prop_assert_eq!(split_texts(joined.as_deref()), Some(texts));
    }

    #[test]
    fn damaged_texts_are_refused_or_texts(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        // Whatever the bytes: no panic, and no text longer than they are.
        if let Some(texts) = split_texts(Some(&bytes)) {
            prop_assert!(texts.iter().map(String::len).sum::<usize>() <= bytes.len());
        }
    }

    #[test]
    fn a_flipped_bit_changes_the_seal(
        bytes in prop::collection::vec(any::<u8>(), 1..64),
        position in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        row in any::<i64>(),
    ) {
        let mut flipped = bytes.clone();
        flipped[position.index(bytes.len())] ^= 1 << bit;
        prop_assert_ne!(seal_of(row, &bytes), seal_of(row, &flipped));
        prop_assert_ne!(seal_of(row, &bytes), seal_of(row ^ (1 << bit), &bytes));
    }
}

#[test]
fn codes_of_states_and_origins_are_read_back() {
    for code in 0..7 {
        assert_eq!(state_of(code).map(state_code), Some(code));
    }
    for code in 0..5 {
        assert_eq!(origin_of(code).map(origin_code), Some(code));
    }
    assert_eq!(state_of(7), None);
    assert_eq!(origin_of(-1), None);
}

#[test]
fn conditions_in_sql_are_of_the_states_that_they_name() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(TABLES).unwrap();
    connection.execute_batch(ADDED).unwrap();
    let holds = |condition: &str, state: State| -> bool {
        let text = format!("SELECT {condition} FROM (SELECT ?1 AS state)");
        let code = state_code(state);
        connection
            .query_row(&text, [code], |row| row.get(0))
            .unwrap()
    };
    for code in 0..7 {
        let state = state_of(code).unwrap();
        let is_open = matches!(state, State::Pending | State::Retry | State::Parked);
        let is_set_aside = state == State::Failure;
        assert_eq!(holds(OPEN, state), is_open, "{state:?}");
        assert_eq!(holds(LIVING, state), is_open || is_set_aside, "{state:?}");
        let is_over = matches!(state, State::Success | State::Delivered);
        assert_eq!(holds(NOT_SUCCEEDED, state), !is_over);
    }
    for condition in [OPEN, LIVING, NOT_SUCCEEDED] {
        let text = format!("EXPLAIN QUERY PLAN SELECT seq FROM tasks WHERE {condition}");
        let plan: String = connection.query_row(&text, [], |row| row.get(3)).unwrap();
        assert!(plan.contains("tasks_not_succeeded"), "{plan}");
    }
}
