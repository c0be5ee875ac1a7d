//! Commands, and the status of a world.

use std::time::{Duration, Instant};

use archipelago_lab::{
    Command, CommandOutput, Distances, LabError, Role, ServerState, ServerStatus, World,
};

use crate::{DEADLINE, sql};

async fn world() -> World {
    let distances = Distances::default().with_round_trip("nrt", "ord", Duration::from_millis(8));
    World::builder()
        .primary("nrt")
        .replicas(["ord", "syd"])
        .distances(distances)
        .start()
        .await
        .unwrap()
}

async fn execute(world: &World, command: Command) -> String {
    world.execute(command).await.unwrap().to_string()
}

fn at(region: &str) -> String {
    region.to_owned()
}

async fn status_of(world: &World, region: &str) -> ServerStatus {
    world.status().await.servers.into_iter().find(|server| server.region == region).unwrap()
}

#[tokio::test]
async fn every_command_does_what_it_says() {
    use Command::{
        Cut, Freeze, Heal, Kill, Lag, Pause, Promote, Rejoin, Resume, Slow, Start, Stop, Thaw,
    };
    let world = world().await;
    let steps = [
        (Cut { a: at("nrt"), b: at("syd") }, "nothing passes between nrt and syd"),
        (
            Heal { a: at("nrt"), b: at("syd") },
            "the link between nrt and syd is whole, with a round trip of 0.0 ms",
        ),
        (
            Slow { a: at("ord"), b: at("nrt"), round_trip: Duration::from_millis(20) },
            "a round trip between ord and nrt takes 20.0 ms",
        ),
        (
            Heal { a: at("ord"), b: at("nrt") },
            "the link between ord and nrt is whole, with a round trip of 8.0 ms",
        ),
        (Stop { region: at("ord") }, "ord is stopped"),
        (Start { region: at("ord") }, "ord runs"),
        (Kill { region: at("ord") }, "ord has crashed"),
        (Kill { region: at("ord") }, "ord was not running"),
        (Start { region: at("ord") }, "ord runs"),
        (Freeze { region: at("ord") }, "ord is frozen"),
        (Thaw { region: at("ord") }, "ord goes on"),
        (Thaw { region: at("ord") }, "ord was not frozen"),
        (Pause { region: at("ord") }, "ord receives, and shows nothing newer"),
        (Resume { region: at("ord") }, "ord replays again"),
        (
            Lag { region: at("ord"), delay: Duration::from_secs(3) },
            "ord shows each commit 3s after it was made",
        ),
        (Lag { region: at("ord"), delay: Duration::ZERO }, "ord holds nothing back"),
        (
            Promote { region: at("ord"), leave_old_running: true },
            "ord is primary on timeline 2; syd follows it",
        ),
        (Rejoin { region: at("nrt") }, "nrt follows ord, rewound by pg_rewind"),
        (
            Promote { region: at("nrt"), leave_old_running: false },
            "nrt is primary on timeline 3; syd follows it",
        ),
    ];
    for (command, answer) in steps {
        let json = serde_json::to_string(&command).unwrap();
        assert_eq!(execute(&world, serde_json::from_str(&json).unwrap()).await, answer, "{json}");
    }
    let urls = execute(&world, Command::Urls { from: None }).await;
    let expected = world
        .servers()
        .map(|server| format!("{} {} {}", server.region(), server.role(), server.url()));
    assert_eq!(urls, expected.collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn unknown_names_are_refused_with_the_known_ones() {
    let world = world().await;
    let commands = [
        Command::Stop { region: at("lhr") },
        Command::Cut { a: at("nrt"), b: at("lhr") },
        Command::Slow { a: at("lhr"), b: at("nrt"), round_trip: Duration::from_secs(10) },
        Command::Rejoin { region: at("lhr") },
        Command::Urls { from: Some(at("lhr")) },
    ];
    for command in commands {
        let refused = world.execute(command).await.unwrap_err();
        assert!(matches!(refused, LabError::UnknownRegion { .. }), "{refused}");
        assert_eq!(refused.to_string(), "no server in `lhr`: there is one in nrt, ord, syd");
    }
    // From now on a proxy starts there, as for an app.
    world.primary().url_from("lhr").unwrap();
    world.execute(Command::Urls { from: Some(at("lhr")) }).await.unwrap();
    world.execute(Command::Cut { a: at("nrt"), b: at("lhr") }).await.unwrap();
    let links = world.status().await.links;
    assert!(
        links.iter().any(|link| (&*link.a, &*link.b, link.cut) == ("nrt", "lhr", true)),
        "{links:?}"
    );
}

#[tokio::test]
async fn impossible_commands_are_refused_with_the_reason() {
    let world = world().await;
    world.server("ord").unwrap().freeze().await.unwrap();
    world.server("syd").unwrap().stop().await.unwrap();
    let (a, b, delay) = (at("nrt"), at("nrt"), Duration::from_hours(24 * 25));
    let itself = "`nrt` is one place, and a link joins two: name another place as well";
    let no_replica = "the server of region `nrt` is a primary, not a replica: `rejoin` makes a replica of an old primary";
    let refused = [
        (Command::Cut { a: a.clone(), b: b.clone() }, itself),
        (Command::Heal { a: a.clone(), b: b.clone() }, itself),
        (Command::Slow { a, b, round_trip: Duration::from_secs(10) }, itself),
        (
            Command::Start { region: at("ord") },
            "the server of region `ord` is frozen: thaw it first",
        ),
        (
            Command::Pause { region: at("syd") },
            "the server of region `syd` is not running: start it first",
        ),
        (Command::Pause { region: at("nrt") }, no_replica),
        (Command::Resume { region: at("nrt") }, no_replica),
        (
            Command::Lag { region: at("syd"), delay },
            "the replica `syd` cannot hold back commits for 2160000s: 24 days are the most",
        ),
    ];
    for (command, why) in refused {
        assert_eq!(world.execute(command).await.unwrap_err().to_string(), why);
    }
    let longest = Duration::from_hours(24 * 24);
    execute(&world, Command::Lag { region: at("syd"), delay: longest }).await;
    execute(&world, Command::Start { region: at("syd") }).await;
    assert_eq!(u128::from(status_of(&world, "syd").await.apply_delay_ms), longest.as_millis());
}

#[tokio::test]
async fn starting_an_old_primary_gives_a_warning() {
    let world = world().await;
    execute(&world, Command::Promote { region: at("ord"), leave_old_running: false }).await;
    let split =
        "; nrt and ord take writes now, a split brain: `rejoin` makes a replica of each but ord";
    assert_eq!(
        execute(&world, Command::Start { region: at("nrt") }).await,
        format!("nrt runs{split}")
    );
    assert_eq!(execute(&world, Command::Freeze { region: at("nrt") }).await, "nrt is frozen");
    assert_eq!(execute(&world, Command::Start { region: at("syd") }).await, "syd runs");
    assert_eq!(
        execute(&world, Command::Thaw { region: at("nrt") }).await,
        format!("nrt goes on{split}")
    );
}

#[tokio::test]
async fn the_lag_of_idle_and_of_delayed_replicas() {
    let world = world().await;
    let ord = world.server("ord").unwrap();
    sql::write(&world.primary().url(), "before").await;
    let position = world.primary().position().await.unwrap();
    world.catch_up().await.unwrap();
    let nrt = status_of(&world, "nrt").await;
    assert_eq!(
        (nrt.role, nrt.state, nrt.timeline, nrt.follows),
        (Role::Primary, ServerState::Running, Some(1), None)
    );
    assert!(nrt.written.unwrap() >= position);
    assert_eq!((nrt.replayed, nrt.lag_bytes), (None, None));
    let idle = status_of(&world, "ord").await;
    assert_eq!(
        (idle.lag_bytes, idle.lag_seconds, idle.streaming),
        (Some(0), Some(0.0), true),
        "{idle:?}"
    );
    assert_eq!((idle.follows.as_deref(), idle.replayed.unwrap() >= position), (Some("nrt"), true));

    ord.pause_replay().await.unwrap();
    let since = Instant::now();
    sql::write(&world.primary().url(), "after").await;
    let syd = world.server("syd").unwrap();
    let written = world.primary().position().await.unwrap();
    syd.wait_until_replayed(written, DEADLINE).await.unwrap();
    ord.lag(Duration::from_secs(2)).await.unwrap();

    let first = status_of(&world, "ord").await;
    assert!(first.lag_bytes > Some(0), "{first:?}");
    assert_eq!(first.lag_seconds, None, "no earlier status saw it: {first:?}");
    let behind = status_of(&world, "ord").await;
    assert!(behind.lag_bytes > Some(0) && behind.lag_seconds > Some(0.0), "{behind:?}");
    assert!(behind.lag_seconds < Some(since.elapsed().as_secs_f64()), "{behind:?}");
    assert!(
        behind.replay_paused && behind.apply_delay_ms == 2000 && behind.replayed < behind.received,
        "{behind:?}"
    );
}

#[tokio::test]
async fn servers_that_do_not_answer_delay_no_status() {
    let world = world().await;
    world.server("nrt").unwrap().freeze().await.unwrap();
    world.server("syd").unwrap().stop().await.unwrap();
    let since = Instant::now();

    let status = world.status().await;

    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    let answers: Vec<_> = status
        .servers
        .iter()
        .map(|server| (server.state, server.timeline, server.lag_bytes))
        .collect();
    let expected = [
        (ServerState::Frozen, None, None),
        (ServerState::Running, Some(1), None),
        (ServerState::Stopped, None, None),
    ];
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn a_status_as_json_and_as_text() {
    let world = world().await;
    world.server("syd").unwrap().stop().await.unwrap();
    world.links().cut("ord", "syd").unwrap();
    let CommandOutput::Status(status) = world.execute(Command::Status).await.unwrap() else {
        panic!("no status")
    };

    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(serde_json::from_value::<archipelago_lab::Status>(json.clone()).unwrap(), status);
    let keys: Vec<_> = json["servers"][0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys.join(" "),
        "apply_delay_ms follows lag_bytes lag_seconds port received region replay_paused replayed role state streaming \
         timeline written"
    );
    assert_eq!(
        (&json["servers"][0]["role"], &json["servers"][2]["state"]),
        (&"primary".into(), &"stopped".into())
    );
    let position = json["servers"][0]["written"].as_str().unwrap();
    assert!(position.starts_with("0/"), "{position}");
    assert_eq!(
        json["links"][2],
        serde_json::json!({"a": "ord", "b": "syd", "round_trip_ms": 0.0, "cut": true, "slowed": false})
    );

    let ports: Vec<_> = status.servers.iter().map(|server| server.port.to_string()).collect();
    let replayed = status.servers[1].replayed.unwrap().to_string();
    let text = status.to_string().replace(position, "POSITION").replace(&replayed, "POSITION");
    let words: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    let lag = text.lines().nth(2).unwrap().contains(" 0 B ");
    assert!(lag, "{text}");
    assert_eq!(
        words[0],
        ["REGION", "ROLE", "STATE", "TIMELINE", "POSITION", "LAG", "FOLLOWS", "PORT"]
    );
    assert_eq!(words[1], ["nrt", "primary", "running", "1", "POSITION", "-", "-", &ports[0]]);
    assert_eq!(
        words[2],
        ["ord", "replica", "running", "1", "POSITION", "0", "B", "nrt", &ports[1]]
    );
    assert_eq!(words[3], ["syd", "replica", "stopped", "-", "-", "-", "nrt", &ports[2]]);
    assert_eq!(
        words[5..],
        [
            vec!["LINKS", "nrt", "ord", "syd"],
            vec!["nrt", "8", "ms", "0", "ms"],
            vec!["ord", "8", "ms", "cut"],
            vec!["syd", "0", "ms", "cut"]
        ]
    );
}
