//! Commands as they are typed on a command line.

use std::time::Duration;

use archipelago_lab::Command;
use clap::Parser;

#[derive(Debug, Parser)]
struct Lab {
    #[command(subcommand)]
    command: Command,
}

fn parse(typed: &str) -> Result<Command, String> {
    let words = std::iter::once("lab").chain(typed.split(' '));
    Lab::try_parse_from(words).map(|lab| lab.command).map_err(|error| error.to_string())
}

#[test]
fn commands_are_parsed() {
    let region = || "ord".to_owned();
    let (a, b) = (region(), "nrt".to_owned());
    let expected = [
        ("cut ord nrt", Command::Cut { a: a.clone(), b: b.clone() }),
        ("slow ord nrt 250ms", Command::Slow { a, b, round_trip: Duration::from_millis(250) }),
        ("lag ord 3s", Command::Lag { region: region(), delay: Duration::from_secs(3) }),
        ("lag ord 0", Command::Lag { region: region(), delay: Duration::ZERO }),
        ("pause ord", Command::Pause { region: region() }),
        ("promote ord", Command::Promote { region: region(), leave_old_running: false }),
        (
            "promote ord --leave-old-running",
            Command::Promote { region: region(), leave_old_running: true },
        ),
        ("urls", Command::Urls { from: None }),
        ("urls lhr", Command::Urls { from: Some("lhr".to_owned()) }),
    ];
    for (typed, command) in expected {
        assert_eq!(parse(typed), Ok(command), "{typed}");
    }
}

#[test]
fn typing_errors_are_explained() {
    assert!(parse("lag ord 3").unwrap_err().contains("time unit needed, for example 3sec or 3ms"));
    assert!(parse("cut ord").unwrap_err().contains("<B>"));
    assert!(parse("halt ord").unwrap_err().contains("unrecognized subcommand"));
}
