use super::*;
use crate::limits::*;

fn check_topic(text: &str, expected: Result<(), TopicError>) {
    assert_eq!(Topic::parse(text).map(|topic| assert_eq!(topic.as_str(), text)), expected);
}

#[test]
fn topics_are_any_text_without_control_characters() {
    check_topic("orders/42", Ok(()));
    check_topic("/", Ok(()));
    check_topic("../..", Ok(()));
    check_topic("https://example.com/books/1?x=ü#y", Ok(()));
    check_topic("مرحبا", Ok(()));
    check_topic(&"x".repeat(TOPIC_BYTES_MAX), Ok(()));
    check_topic("", Err(TopicError::Empty));
    check_topic("*", Err(TopicError::Wildcard));
    check_topic("a\nid: 9", Err(TopicError::Control { at: 1 }));
    check_topic("a\u{85}", Err(TopicError::Control { at: 1 }));
    check_topic(
        &"x".repeat(TOPIC_BYTES_MAX + 1),
        Err(TopicError::TooLong { bytes: TOPIC_BYTES_MAX + 1 }),
    );
}

#[test]
fn a_topic_that_stands_twice_counts_once() {
    let topic = |text| Topic::parse(text).unwrap();
    let topics = Topics::parse(vec![topic("b"), topic("a"), topic("b"), topic("c")]).unwrap();
    assert_eq!(topics.iter().map(Topic::as_str).collect::<Vec<_>>(), ["b", "a", "c"]);
    assert_eq!(Topics::parse(vec![]), Err(TopicsError::None));
    assert_eq!(
        Topics::parse(vec![topic("a"); TOPICS_PER_EVENT_MAX + 1]),
        Err(TopicsError::TooMany { topics: TOPICS_PER_EVENT_MAX + 1 }),
    );
}

#[test]
fn s11_types_and_ids_cannot_forge_fields() {
    for text in ["a\rb", "a\nb", "a\r\nb", "a\0b", "a\u{7f}b"] {
        assert_eq!(EventType::parse(text), Err(TypeError::Control { at: 1 }), "{text:?}");
        assert_eq!(EventId::parse(text), Err(IdError::Control { at: 1 }), "{text:?}");
    }
    assert_eq!(EventType::parse(""), Err(TypeError::Empty));
    assert_eq!(EventType::parse("tidings.reset"), Err(TypeError::Reserved));
    assert_eq!(EventId::parse(""), Err(IdError::Empty));
    assert_eq!(EventId::parse(" a"), Err(IdError::Space));
    assert_eq!(EventId::parse("a "), Err(IdError::Space));
    let bytes = ID_BYTES_MAX + 1;
    assert_eq!(EventId::parse(&"x".repeat(bytes)), Err(IdError::TooLong { bytes }));
    let bytes = EVENT_TYPE_BYTES_MAX + 1;
    assert_eq!(EventType::parse(&"x".repeat(bytes)), Err(TypeError::TooLong { bytes }));
    // Plain strings, whatever they mean to JavaScript.
    for text in ["__proto__", "constructor", "message", " spaced ", "ü"] {
        assert!(EventType::parse(text).is_ok(), "{text:?}");
    }
}

#[test]
fn p22_retry_is_digits_only() {
    assert_eq!(Retry::parse("0").map(Retry::as_ms), Ok(0));
    assert_eq!(Retry::parse("03000").map(Retry::as_ms), Ok(3000));
    assert_eq!(Retry::parse("86400000").map(Retry::as_ms), Ok(RETRY_MS_MAX));
    assert_eq!(Retry::parse("86400001"), Err(RetryError::TooLong));
    assert_eq!(Retry::parse(&"9".repeat(400)), Err(RetryError::TooLong));
    for text in ["", "+5", "-5", "20x", "4e1", "1.5", " 1", "٣"] {
        assert_eq!(Retry::parse(text), Err(RetryError::NotDigits), "{text:?}");
    }
}

#[test]
fn data_is_utf8_and_nothing_else_is_asked_of_it() {
    assert_eq!(Data::parse("").unwrap().as_str(), "");
    assert_eq!(Data::parse("a\0\r\n\u{feff}").unwrap().as_str(), "a\0\r\n\u{feff}");
    assert_eq!(Data::parse(&b"ab\xff"[..]), Err(DataError { at: 2 }));
}

#[test]
fn idempotency_keys_are_visible_ascii() {
    let key = IdempotencyKey::parse("6f1d-22").unwrap();
    assert_eq!(key.nth(3).as_str(), "6f1d-22#3");
    assert_eq!(IdempotencyKey::parse(""), Err(KeyError::Empty));
    assert_eq!(IdempotencyKey::parse("a b"), Err(KeyError::NotVisible));
    assert_eq!(IdempotencyKey::parse("ü"), Err(KeyError::NotVisible));
    let bytes = IDEMPOTENCY_KEY_BYTES_MAX + 1;
    assert_eq!(IdempotencyKey::parse(&"k".repeat(bytes)), Err(KeyError::TooLong { bytes }));
}
