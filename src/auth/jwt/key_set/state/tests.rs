use super::{Miss, State, Times};
use crate::clock::from_unix;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn state() -> State {
    let times = Times {
        refresh_after: 300 * SECOND,
        stale_for: 86_400 * SECOND,
        cooldown: 30 * SECOND,
        timeout: 10 * SECOND,
    };
    State::new(times, from_unix(1000))
}

fn loaded() -> State {
    let mut state = state();
    state.succeed("one".into(), Vec::new(), from_unix(1000));
    state
}

#[test]
fn many_unknown_kids_cause_one_fetch_per_cooldown() {
    let mut state = loaded();
    let mut fetches = 0;
    for second in 0..300_u64 {
        let now = from_unix(1000 + second);
        for i in 0..10 {
            let kid = format!("{second}-{i}");
            match state.miss(Some(&kid), now) {
                Miss::Fetch => {
                    fetches += 1;
                    state.succeed("one".into(), Vec::new(), now);
                    assert_eq!(state.missed(Some(&kid), now), Miss::Refused);
                }
                Miss::Refused => {}
                Miss::Wait | Miss::Unavailable(_) => panic!("no fetch runs, and no fetch failed"),
            }
        }
    }
    assert_eq!(fetches, 10);
    assert!(state.missing.len() <= super::MAX_MISSING);
}

#[test]
fn a_fetch_that_found_the_key_starts_no_cooldown() {
    let mut state = loaded();
    for second in 0..10 {
        let now = from_unix(1000 + second);
        assert_eq!(state.miss(Some("new"), now), Miss::Fetch, "{second}");
        assert_eq!(state.miss(Some("another"), now), Miss::Wait, "one fetch at a time");
        state.succeed(format!("{second}"), Vec::new(), now);
        state.found();
    }
}

#[test]
fn a_missing_kid_causes_another_fetch_only_later_or_after_the_keys_change() {
    let mut state = loaded();
    let mut now = from_unix(1000);
    assert_eq!(state.miss(Some("old"), now), Miss::Fetch);
    state.succeed("one".into(), Vec::new(), now);
    assert_eq!(state.missed(Some("old"), now), Miss::Refused);
    now += 31 * SECOND;
    assert_eq!(
        state.miss(Some("old"), now),
        Miss::Refused,
        "the cooldown is over, but the `kid` is still remembered as missing"
    );
    state.succeed("two".into(), Vec::new(), now);
    assert_eq!(state.miss(Some("old"), now), Miss::Fetch);
    state.succeed("two".into(), Vec::new(), now);
    assert_eq!(state.missed(Some("old"), now), Miss::Refused);
    assert_eq!(state.miss(Some("old"), now - 3600 * SECOND), Miss::Fetch, "the clock was set back");
}

#[test]
fn while_the_source_fails_unknown_keys_are_unavailable_and_pauses_grow() {
    let mut state = loaded();
    let mut now = from_unix(2000);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        state.begin(now);
        state.fail("down".into(), now);
        let pause = state.due_in(now);
        assert_eq!(state.miss(Some("x"), now), Miss::Unavailable(pause));
        assert_eq!(state.missed(Some("x"), now), Miss::Unavailable(pause));
        pauses.push(pause.as_secs());
        now += pause;
        assert!(state.clone().is_to_fetch(now) && !state.clone().is_to_fetch(now - SECOND));
        let mut later = state.clone();
        assert_eq!(later.miss(Some("x"), now), Miss::Fetch, "the pause is over");
        assert_eq!(later.miss(Some("y"), now), Miss::Wait, "one fetch at a time");
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert!(state.held(from_unix(2000)).is_some(), "the old keys stay");
    state.succeed("one".into(), Vec::new(), now);
    assert_eq!((state.due_in(now), state.last_error()), (300 * SECOND, None));
}

#[test]
fn keys_stay_up_to_a_maximum_age_and_a_clock_set_back_makes_no_key_older() {
    let mut state = loaded();
    state.fail("down".into(), from_unix(1300));
    assert!(state.held(from_unix(1000 + 86_400)).is_some());
    assert!(state.held(from_unix(1001 + 86_400)).is_none());
    assert!(state.held(from_unix(1)).is_some());
    assert_eq!(state.age(from_unix(1060)), Some(60 * SECOND));
}

#[test]
fn without_usable_keys_no_token_is_refused_as_bad() {
    let mut state = loaded();
    let now = from_unix(1000 + 86_401);
    assert_eq!(state.missed(Some("x"), now), Miss::Unavailable(super::Duration::ZERO));
    assert_eq!(state.miss(Some("x"), now), Miss::Fetch, "even if the `kid` was missing before");
    state.succeed("one".into(), Vec::new(), now);
    assert_eq!(state.missed(Some("x"), now), Miss::Refused);
}

#[test]
fn a_fetch_that_was_given_up_counts_as_one_failure() {
    let mut state = loaded();
    let now = from_unix(1300);
    state.begin(now);
    state.take_up();
    let attempt = state.attempt();
    assert!(!state.give_up(attempt - 1, "another".into(), now), "that fetch is over");
    assert_eq!(state.last_error(), None);
    assert!(!state.give_up(attempt, "no answer".into(), now), "the task has begun the fetch");
    assert!(!state.give_up(attempt, "no answer".into(), now), "a fetch is given up only once");
    state.fail("no answer".into(), now);
    assert_eq!((state.due_in(now), state.last_error()), (SECOND, Some("no answer")));
    state.begin(now);
    assert!(
        state.give_up(state.attempt(), "no answer".into(), now),
        "the task has not begun the fetch"
    );
}

#[test]
fn a_task_that_is_late_twice_is_lost_and_a_clock_jump_is_not_enough() {
    let mut state = loaded();
    assert!(!state.is_overdue(from_unix(1300 + 20)));
    let mut now = from_unix(1300 + 21);
    assert!(state.is_overdue(now) && !state.is_lost(now), "late once is not enough");
    assert!(!state.is_overdue(now), "the task gets more time");
    now += 21 * SECOND;
    assert!(state.is_lost(now));
    state.begin_anew("lost".into(), now);
    assert_eq!(state.last_error(), Some("lost"));
    assert!(!state.is_overdue(now) && state.miss(Some("x"), now) == Miss::Wait);
    state.succeed("one".into(), Vec::new(), now);
    assert!(!state.is_overdue(now + 320 * SECOND));
    state.lose("nowhere".into(), now);
    assert_eq!(state.miss(Some("x"), now), Miss::Unavailable(SECOND));
}

#[test]
fn the_generation_changes_only_with_the_document() {
    let mut state = loaded();
    let generation = |state: &State| state.held(from_unix(1000)).unwrap().generation;
    let first = generation(&state);
    state.succeed("one".into(), Vec::new(), from_unix(1300));
    assert_eq!(generation(&state), first);
    assert_eq!(
        state.age(from_unix(1300)),
        Some(Duration::ZERO),
        "the fetch counts, although the document is the same"
    );
    state.succeed("two".into(), Vec::new(), from_unix(1300));
    assert_ne!(generation(&state), first);
}
