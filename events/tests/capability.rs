//! Capabilities: what is refused, row by row. The properties say the rest.

use events::capability::{BadRoots, Denied, Grant, Roots};
use events::{Attempt, JobId, Timestamp};

const OLD: &str = "0123456789abcdef0123456789abcdef";
const NEW: &str = "fedcba9876543210fedcba9876543210-and-longer";

fn grant() -> Grant {
    Grant { job: JobId::new(1, [7; 10]), attempt: Attempt::FIRST, expires: Timestamp::from_unix_ms(2_000_000) }
}

const NOW: i64 = 1_000_000;

fn verify(roots: &Roots, text: &str) -> Result<Grant, Denied> {
    roots.verify(text, Timestamp::from_unix_ms(NOW))
}

#[test]
fn roots_are_read_strictly() {
    let long = "k".repeat(17);
    let rows: [(&str, Result<(), BadRoots>); 13] = [
        (OLD, Ok(())),
        (NEW, Ok(())),
        (&format!("a-1:{OLD}, B_2:{NEW}"), Ok(())),
        (&format!("{}:{OLD}", &long[..16]), Ok(())),
        ("", Err(BadRoots::Empty)),
        (" , ", Err(BadRoots::Empty)),
        (&OLD[1..], Err(BadRoots::TooShort)),
        (&format!("a:{OLD},b:short"), Err(BadRoots::TooShort)),
        (&format!(":{OLD}"), Err(BadRoots::BadName)),
        (&format!("{long}:{OLD}"), Err(BadRoots::BadName)),
        (&format!("a.b:{OLD}"), Err(BadRoots::BadName)),
        (&format!("a:{OLD},a:{NEW}"), Err(BadRoots::Repeated)),
        (&format!("{OLD},{NEW}"), Err(BadRoots::Repeated)),
    ];
    for (text, expected) in rows {
        assert_eq!(Roots::parse(text).map(|_| ()), expected, "{text}");
    }
}

#[test]
fn a_rotated_root_still_checks_and_the_first_one_mints() {
    let roots = |text: &str| Roots::parse(text).expect("they are roots");
    let (old, both, new) = (roots(&format!("a:{OLD}")), roots(&format!("b:{NEW},a:{OLD}")), roots(&format!("b:{NEW}")));
    let (before, after) = (old.mint(&grant()), both.mint(&grant()));
    assert!(before.expose().starts_with("kiln1.a.") && after.expose().starts_with("kiln1.b."));
    for (roots, text, expected) in [
        (&both, before.expose(), Ok(grant())),
        (&both, after.expose(), Ok(grant())),
        (&new, after.expose(), Ok(grant())),
        (&new, before.expose(), Err(Denied)),
        (&old, after.expose(), Err(Denied)),
    ] {
        assert_eq!(verify(roots, text), expected, "{roots:?} {text}");
    }
    assert_eq!(format!("{both:?}"), r#"["b", "a"]"#);
}

#[test]
fn whatever_is_wrong_is_refused() {
    let roots = Roots::parse(OLD).expect("it is a root");
    let right = roots.mint(&grant());
    let right = right.expose();
    assert_eq!(verify(&roots, right), Ok(grant()));
    let parts: Vec<&str> = right.split('.').collect();
    let with = |index: usize, part: &str| {
        let mut parts = parts.clone();
        parts[index] = part;
        parts.join(".")
    };
    let other = JobId::new(2, [7; 10]).to_string();
    let rows = [
        String::new(),
        ".".into(),
        right.to_uppercase(),
        format!("{right}."),
        format!("{right}0"),
        format!(" {right}"),
        right.repeat(2),
        "a".repeat(10_000),
        with(0, "kiln2"),
        with(1, "2"),
        with(1, ""),
        with(2, &other),
        with(2, "nonsense"),
        with(3, "2"),
        with(3, "01"),
        with(3, "0"),
        with(4, "2001"),
        with(4, "+2000"),
        with(4, "9999999999999"),
        with(4, ""),
        with(5, &"0".repeat(64)),
        with(5, &parts[5][1..]),
        with(5, &format!("{}g", &parts[5][1..])),
    ];
    for text in rows {
        assert_eq!(verify(&roots, &text), Err(Denied), "{text}");
    }
    let last = Grant { expires: Timestamp::from_unix_ms(253_402_300_799_000), ..grant() };
    assert_eq!(verify(&roots, roots.mint(&last).expose()), Ok(last), "the end of the year 9999");
    for (now, expected) in [(1_999_999, Ok(grant())), (2_000_000, Err(Denied)), (2_000_001, Err(Denied))] {
        assert_eq!(roots.verify(right, Timestamp::from_unix_ms(now)), expected, "{now}");
    }
}
