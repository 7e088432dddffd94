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
fn a_flood_of_unknown_names_causes_one_fetch_a_cooldown() {
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
                Miss::Wait | Miss::Unavailable(_) => panic!("nothing runs, nothing fails"),
            }
        }
    }
    assert_eq!(fetches, 10);
    assert!(state.missing.len() <= super::MAX_MISSING);
}

#[test]
fn a_fetch_that_was_worth_while_starts_no_cooldown() {
    let mut state = loaded();
    for second in 0..10 {
        let now = from_unix(1000 + second);
        assert_eq!(state.miss(Some("new"), now), Miss::Fetch, "{second}");
        assert_eq!(state.miss(Some("another"), now), Miss::Wait, "one at a time");
        state.succeed(format!("{second}"), Vec::new(), now);
        state.found();
    }
}

#[test]
fn a_name_that_is_missing_is_asked_for_again_only_later_or_once_the_keys_change() {
    let mut state = loaded();
    let mut now = from_unix(1000);
    assert_eq!(state.miss(Some("old"), now), Miss::Fetch);
    state.succeed("one".into(), Vec::new(), now);
    assert_eq!(state.missed(Some("old"), now), Miss::Refused);
    now += 31 * SECOND;
    assert_eq!(state.miss(Some("old"), now), Miss::Refused, "the cooldown is over");
    state.succeed("two".into(), Vec::new(), now);
    assert_eq!(state.miss(Some("old"), now), Miss::Fetch);
    state.succeed("two".into(), Vec::new(), now);
    assert_eq!(state.missed(Some("old"), now), Miss::Refused);
    assert_eq!(state.miss(Some("old"), now - 3600 * SECOND), Miss::Fetch, "set back");
}

#[test]
fn while_the_source_fails_nobody_can_tell_and_pauses_grow() {
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
    assert!(state.held(from_unix(2000)).is_some(), "what is held is kept");
    state.succeed("one".into(), Vec::new(), now);
    assert_eq!((state.due_in(now), state.last_error()), (300 * SECOND, None));
}

#[test]
fn keys_are_kept_up_to_a_bound_and_a_clock_that_is_set_back_makes_none_older() {
    let mut state = loaded();
    state.fail("down".into(), from_unix(1300));
    assert!(state.held(from_unix(1000 + 86_400)).is_some());
    assert!(state.held(from_unix(1001 + 86_400)).is_none());
    assert!(state.held(from_unix(1)).is_some());
    assert_eq!(state.age(from_unix(1060)), Some(60 * SECOND));
}

#[test]
fn without_a_key_that_may_be_used_no_token_is_called_bad() {
    let mut state = loaded();
    let now = from_unix(1000 + 86_401);
    assert_eq!(state.missed(Some("x"), now), Miss::Unavailable(super::Duration::ZERO));
    assert_eq!(state.miss(Some("x"), now), Miss::Fetch, "whatever was missing before");
    state.succeed("one".into(), Vec::new(), now);
    assert_eq!(state.missed(Some("x"), now), Miss::Refused);
}

#[test]
fn a_fetch_that_was_given_up_failed_once_whoever_says_so() {
    let mut state = loaded();
    let now = from_unix(1300);
    state.begin(now);
    state.take_up();
    let attempt = state.attempt();
    assert!(!state.give_up(attempt - 1, "another".into(), now), "is over");
    assert_eq!(state.last_error(), None);
    assert!(!state.give_up(attempt, "no answer".into(), now), "the task began");
    assert!(!state.give_up(attempt, "no answer".into(), now), "and is not given up twice");
    state.fail("no answer".into(), now);
    assert_eq!((state.due_in(now), state.last_error()), (SECOND, Some("no answer")));
    state.begin(now);
    assert!(state.give_up(state.attempt(), "no answer".into(), now), "nobody took it up");
}

#[test]
fn a_task_that_says_nothing_is_lost_and_a_clock_that_jumps_is_no_loss() {
    let mut state = loaded();
    assert!(!state.is_overdue(from_unix(1300 + 20)));
    let mut now = from_unix(1300 + 21);
    assert!(state.is_overdue(now) && !state.is_lost(now), "once is not enough");
    assert!(!state.is_overdue(now), "nobody asks again at once");
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
fn the_generation_changes_with_the_document_only() {
    let mut state = loaded();
    let generation = |state: &State| state.held(from_unix(1000)).unwrap().generation;
    let first = generation(&state);
    state.succeed("one".into(), Vec::new(), from_unix(1300));
    assert_eq!(generation(&state), first);
    assert_eq!(state.age(from_unix(1300)), Some(Duration::ZERO), "it was looked at");
    state.succeed("two".into(), Vec::new(), from_unix(1300));
    assert_ne!(generation(&state), first);
}
