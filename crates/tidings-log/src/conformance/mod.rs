//! What every log promises, as one suite that every implementation passes.
//! Knows nothing of any implementation: a log is made for it, and it sees only the trait.

mod follow;
mod keep;
mod read;
mod shares;
mod world;

use std::time::Duration;

use tidings_core::limits::LOG_AGE_MAX;

use crate::Log;

pub use shares::shares;

/// What a log made for one of the checks has to keep.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes; at least a tenth of it in events, whatever an implementation adds to them.
    pub bytes_max: u64,
    /// How long an event is kept.
    pub age_max: Duration,
}

/// Large and long enough that nothing goes by itself.
const ROOMY: Settings = Settings { bytes_max: 64 * 1024 * 1024, age_max: LOG_AGE_MAX };

/// Runs all of it. `fresh` makes an empty log each time it is called.
///
/// # Panics
/// At the first promise that is not kept.
pub async fn run<F, L>(fresh: F)
where
    F: AsyncFn(Settings) -> L,
    L: Log,
{
    keep::positions_are_contiguous_and_in_the_order_of_the_batch(fresh(ROOMY).await).await;
    keep::batches_of_many_at_once_stay_whole(fresh(ROOMY).await).await;
    keep::every_field_comes_back_as_it_was(fresh(ROOMY).await).await;
    keep::time_never_goes_back(fresh(ROOMY).await).await;
    keep::an_event_has_the_same_fingerprint_wherever_it_is_asked(fresh(ROOMY).await).await;
    keep::an_event_that_can_never_fit_is_refused(fresh(SMALL).await).await;
    keep::a_key_makes_a_repetition_the_same_append(fresh(ROOMY).await).await;
    keep::a_key_counts_within_its_batch_too(fresh(ROOMY).await).await;
    keep::a_key_used_by_many_at_once_is_kept_once(fresh(ROOMY).await).await;
    keep::a_key_is_free_again_after_its_window(fresh(ROOMY).await).await;
    keep::bytes_are_bounded_and_the_oldest_go_first(fresh(SMALL).await).await;
    keep::age_is_bounded(fresh(SHORT).await).await;
    keep::a_closed_log_takes_nothing_and_says_so(fresh(ROOMY).await).await;

    read::an_empty_log_is_empty(fresh(ROOMY).await).await;
    read::pages_keep_their_bounds_and_come_to_an_end(fresh(ROOMY).await).await;
    read::a_page_holds_one_event_however_large(fresh(ROOMY).await).await;
    read::selectors_select(fresh(ROOMY).await).await;
    read::what_is_gone_is_told(fresh(SMALL).await).await;
    read::ids_are_found_the_newest_first(fresh(ROOMY).await).await;
    read::times_are_found(fresh(ROOMY).await).await;
    read::the_last_n_are_found(fresh(ROOMY).await).await;
    read::marks_forget_what_retention_took(fresh(SMALL).await).await;

    follow::the_past_comes_first_and_then_the_present(fresh(ROOMY).await).await;
    follow::many_follow_many_without_a_gap(fresh(ROOMY).await).await;
    follow::a_dropped_wait_loses_nothing(fresh(ROOMY).await).await;
    follow::a_follower_may_wait_beyond_the_tail(fresh(ROOMY).await).await;
    follow::who_is_overtaken_is_told_and_goes_on(fresh(SMALL).await).await;
    follow::closing_ends_it_after_all_was_given(fresh(ROOMY).await).await;
}

/// So little that the checks of retention can fill it at once.
const SMALL: Settings = Settings { bytes_max: 1024 * 1024, age_max: LOG_AGE_MAX };

/// So short that the checks of retention can outlive it; the time is the log's, not the clock's.
const SHORT: Settings = Settings { bytes_max: 64 * 1024 * 1024, age_max: Duration::from_secs(60) };
