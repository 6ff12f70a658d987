//! Worlds from a seed, and the bodies of the fuzz targets over random bytes.

use proptest::prelude::*;

use crate::testing::{Op, Settings, fuzzing};

fn ops(count: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(any::<[u8; 8]>().prop_map(Op::from_bytes), 0..count)
}

fn settings() -> impl Strategy<Value = Settings> {
    (1usize..3, 1u64..60, 1usize..16, 1usize..64).prop_map(
        |(shards, seconds, page_events_max, page_positions_max)| Settings {
            shards,
            heartbeat: std::time::Duration::from_secs(seconds),
            page_events_max,
            page_positions_max,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_nobody_is_wronged(settings in settings(), ops in ops(300)) {
        fuzzing::run_operations(settings, ops);
    }

    #[test]
    fn any_bytes_are_operations(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzzing::operations(&bytes);
    }

    #[test]
    fn any_event_comes_back(
        parts in prop::collection::vec(prop_oneof!["[\r\n:a\0 ]{0,8}", ".{0,20}", "[0-9]{0,9}"], 4),
    ) {
        let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
        fuzzing::encode_round_trip(&parts.join(&0xff));
    }

    #[test]
    fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        fuzzing::encode_round_trip(&bytes);
    }

    #[test]
    fn any_stream_means_the_same_in_pieces(
        head in any::<[u8; 2]>(),
        lines in prop::collection::vec(
            prop_oneof![
                "(data|event|id|retry|x)?:? ?[ab0-9\0\u{feff}]{0,4}(\r\n|\r|\n)",
                "[\r\n]{1,3}",
                "\u{feff}",
            ],
            0..20,
        ),
        noise in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        fuzzing::decode(&[&head, lines.concat().as_bytes(), &noise].concat());
    }

    #[test]
    fn any_lines_are_selectors(
        lines in prop::collection::vec("[=-]?[ab{}*/,]{0,8}|-|=[ab/]{1,5}", 0..40),
    ) {
        fuzzing::selectors(lines.join("\n").as_bytes());
    }
}
