use super::*;
use crate::figure::Sample;

fn row(system: &str, values: &[(Figure, f64)]) -> Row {
    let mut sample = Sample::default();
    values.iter().for_each(|(figure, value)| sample.add(figure, *value));
    let title = format!("<{system}>");
    let (system, series) = (system.to_owned(), Vec::new());
    let mut row = Row { system, title, series, remarks: Vec::new(), failures: Vec::new() };
    row.add(0, &Ok(sample));
    row
}

fn case(name: &str, rows: Vec<Row>) -> CaseResult {
    CaseResult {
        name: name.to_owned(),
        title: name.to_owned(),
        work: name.split('-').next().unwrap().to_owned(),
        rows,
        missing: None,
        noisy_rounds: 0,
    }
}

fn drawn(cases: Vec<CaseResult>) -> Vec<(String, String)> {
    let out = tempfile();
    let results = Results { cases, ..Results::default() };
    let names = draw(&results, &out).unwrap();
    let read = |name: String| (name.clone(), fs::read_to_string(out.join(name)).unwrap());
    let files = names.into_iter().map(read).collect();
    fs::remove_dir_all(&out).unwrap();
    files
}

fn tempfile() -> std::path::PathBuf {
    let out = std::env::temp_dir().join(format!("tidings-plots-{}", std::process::id()));
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(&out).unwrap();
    out
}

#[test]
fn what_was_measured_is_drawn_and_nothing_else() {
    assert!(drawn(Vec::new()).is_empty());

    let values = |share: f64| {
        vec![
            (crowd::DELIVERY, 5.0 * share),
            (crowd::IDLE_BYTES, 700.0 * share),
            (crowd::CONNECT, 40.0 * share),
        ]
    };
    // The loop may well have no memory of its own for a connection.
    let rows = || vec![row("limit", &values(1.0)), row("tidings", &values(-0.5))];
    let point = |number: usize| (growth::point(&growth::DELIVERY, number, "connections"), 7.0);
    let grown = vec![row("tidings", &[point(1), point(1_000), point(19_000)])];
    let files = drawn(vec![
        case("crowd-1000", rows()),
        case("crowd-1000-isolated", rows()),
        case("growth-connections", grown),
    ]);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["delivery.svg", "memory.svg", "connect.svg", "growth-connections.svg"]);
    for (name, svg) in &files {
        assert!(svg.starts_with("<svg") && svg.contains("&lt;tidings&gt;"), "{name}: {svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}: {svg}");
    }
    let at = |text: &str| files[0].1.find(text).unwrap();
    assert!(at("crowd-1000-isolated") < at("crowd-1000\n"), "the isolated stands first");
    assert!(files[3].1.contains("19,000"));
}
