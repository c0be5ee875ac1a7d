//! Promotions and rejoining. Each test has a world of its own.

use std::path::Path;
use std::time::Duration;

use archipelago_lab::{LabError, Rejoined, Role, Server, World, eventually};

use crate::folders::clone;
use crate::{DEADLINE, sql};

async fn world() -> World {
    World::builder().primary("nrt").replicas(["ord", "syd"]).start().await.unwrap()
}

/// Waits until the server has replayed what the primary has written, then checks what it shows.
async fn shows(server: &Server, primary: &Server, notes: &[&str]) {
    server.wait_until_replayed(primary.position().await.unwrap(), DEADLINE).await.unwrap();
    assert_eq!(sql::notes(&server.url()).await, notes, "{}", server.region());
}

#[tokio::test]
async fn a_split_brain_and_its_end() {
    let world = world().await;
    let [nrt, ord, syd] = ["nrt", "ord", "syd"].map(|region| world.server(region).unwrap());
    sql::write(&nrt.url(), "before").await;
    ord.wait_until_replayed(nrt.position().await.unwrap(), DEADLINE).await.unwrap();
    let open_since_before = sql::connect(&ord.url()).await;
    assert_eq!(ord.timeline().await.unwrap(), 1);

    let promotion = world.promote("ord").await.unwrap();

    assert_eq!(
        (promotion.timeline, &*promotion.following),
        (2, &["syd".to_owned()][..]),
        "{promotion:?}"
    );
    assert_eq!(promotion.to_string(), "ord is primary on timeline 2; syd follows it");
    assert_eq!(world.primary().region(), "ord");
    assert_eq!([nrt, ord, syd].map(Server::role), [Role::Primary, Role::Primary, Role::Replica]);
    // Both take writes, and replicas show those of the new primary.
    open_since_before.execute("INSERT INTO notes VALUES ('new')", &[]).await.unwrap();
    sql::write(&nrt.url(), "never seen").await;
    shows(syd, ord, &["before", "new"]).await;
    assert_eq!(sql::notes(&nrt.url()).await, ["before", "never seen"]);
    assert_eq!((nrt.timeline().await.unwrap(), syd.timeline().await.unwrap()), (1, 2));
    world.create_database("shop").await.unwrap();
    let twice = world.promote("nrt").await.unwrap_err();
    assert!(matches!(twice, LabError::NotAReplica { .. }), "{twice}");

    assert_eq!(world.rejoin("nrt").await.unwrap(), Rejoined::Rewound);
    assert_eq!((nrt.role(), nrt.timeline().await.unwrap()), (Role::Replica, 2));
    shows(nrt, ord, &["before", "new"]).await;
    sql::write(&ord.url(), "newer").await;
    shows(nrt, ord, &["before", "new", "newer"]).await;
    shows(syd, ord, &["before", "new", "newer"]).await;
    let own = world.rejoin("ord").await.unwrap_err();
    assert!(matches!(own, LabError::IsPrimary { .. }), "{own}");
}

#[tokio::test]
async fn a_switch_over_under_writes_loses_no_commit() {
    let world = world().await;
    sql::write(&world.primary().url(), "first").await;
    let client = sql::connect(&world.primary().url()).await;
    let writer = tokio::spawn(async move {
        let mut committed = 0;
        while client.execute("INSERT INTO notes VALUES ('one more')", &[]).await.is_ok() {
            committed += 1;
        }
        committed
    });

    let promotion = world.switch_over("syd").await.unwrap();

    let committed: usize = writer.await.unwrap();
    assert!(committed > 0);
    assert_eq!((promotion.primary.as_str(), promotion.following), ("syd", vec!["ord".to_owned()]));
    assert!(!world.server("nrt").unwrap().is_running());
    let count = sql::notes(&world.primary().url()).await.len() - 1;
    // One commit may have happened without being acknowledged.
    assert!(count == committed || count == committed + 1, "{count} of {committed}");

    // And back: the old primary has nothing that the new one does not have.
    world.rejoin("nrt").await.unwrap();
    let promotion = world.switch_over("nrt").await.unwrap();
    assert_eq!((promotion.timeline, promotion.following), (3, vec!["ord".to_owned()]));
    assert_eq!(sql::notes(&world.primary().url()).await.len() - 1, count);
}

#[tokio::test]
async fn a_promotion_returns_when_the_other_replicas_stream() {
    let world = world().await;
    for (a, b) in [("nrt", "ord"), ("nrt", "syd"), ("ord", "syd")] {
        world.links().slow(a, b, Duration::from_millis(200)).unwrap();
    }
    let promotion = world.switch_over("ord").await.unwrap();
    assert_eq!(promotion.following, ["syd"]);
    let sends = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'syd' AND state = 'streaming'";
    let admin = sql::connect(&world.primary().admin_url()).await;
    assert_eq!(
        admin.query_one(sends, &[]).await.unwrap().get::<_, i64>(0),
        1,
        "as the primary sees it"
    );
    world.switch_over("syd").await.unwrap();
}

#[tokio::test]
async fn the_old_primary_continues_if_the_candidate_dies() {
    let world = world().await;
    let [nrt, ord] = ["nrt", "ord"].map(|region| world.server(region).unwrap());
    sql::write(&nrt.url(), "before").await;
    ord.wait_until_replayed(nrt.position().await.unwrap(), DEADLINE).await.unwrap();
    // Delays the end of the old primary, which waits until the new one has received everything.
    world.links().slow("nrt", "ord", Duration::from_secs(2)).unwrap();
    let stopping = async || {
        std::fs::read_to_string(nrt.log_file()).unwrap().contains("received fast shutdown request")
    };

    let (switched, ()) = tokio::join!(world.switch_over("ord"), async {
        eventually("the old primary is being stopped", DEADLINE, stopping).await;
        ord.kill().await.unwrap();
    });

    assert!(switched.is_err(), "{switched:?}");
    assert_eq!((world.primary().region(), nrt.is_running()), ("nrt", true));
    sql::write(&nrt.url(), "after").await;
}

#[tokio::test]
async fn a_promotion_that_has_happened_does_not_fail() {
    let world = world().await;
    let [nrt, ord, syd] = ["nrt", "ord", "syd"].map(|region| world.server(region).unwrap());
    sql::write(&nrt.url(), "before").await;
    ord.wait_until_replayed(nrt.position().await.unwrap(), DEADLINE).await.unwrap();
    let admin = sql::connect(&ord.admin_url()).await;
    let data: String = admin.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
    // The new primary's settings cannot be written.
    let settings = Path::new(&data).join("postgresql.conf");
    std::fs::remove_file(&settings).unwrap();
    std::fs::create_dir_all(settings.join("in the way")).unwrap();

    let promotion = world.promote("ord").await.unwrap();

    assert_eq!(
        (promotion.timeline, &*promotion.following),
        (2, &["syd".to_owned()][..]),
        "{promotion:?}"
    );
    assert_eq!((world.primary().region(), ord.role()), ("ord", Role::Primary));
    shows(syd, ord, &["before"]).await;
}

#[tokio::test]
async fn a_cut_off_replica_tells_its_timeline_and_its_lag() {
    let world = world().await;
    let syd = world.server("syd").unwrap();
    world.promote("ord").await.unwrap();
    sql::write(&world.primary().url(), "before").await;
    syd.wait_until_replayed(world.primary().position().await.unwrap(), DEADLINE).await.unwrap();
    let admin = sql::connect(&syd.admin_url()).await;
    admin.batch_execute("ALTER SYSTEM SET wal_receiver_timeout = '1s'").await.unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    world.links().cut("ord", "syd").unwrap();
    let gave_up = async || {
        std::fs::read_to_string(syd.log_file())
            .unwrap()
            .contains("terminating walreceiver due to timeout")
    };
    eventually("the replica gives up", DEADLINE, gave_up).await;
    sql::write(&world.primary().url(), "missed").await;

    assert_eq!(syd.timeline().await.unwrap(), 2);
    let status = world.status().await;
    let syd = status.servers.iter().find(|server| server.region == "syd").unwrap();
    assert!(!syd.streaming && syd.timeline == Some(2) && syd.lag_bytes > Some(0), "{syd:?}");
}

#[tokio::test]
async fn a_primary_that_crashed_is_replaced() {
    let world = world().await;
    sql::write(&world.primary().url(), "before").await;
    world.catch_up().await.unwrap();
    world.primary().kill().await.unwrap();
    world.server("syd").unwrap().stop().await.unwrap();

    let promotion = world.switch_over("ord").await.unwrap();

    assert_eq!(promotion.waiting, ["syd"]);
    assert_eq!(
        promotion.to_string(),
        "ord is primary on timeline 2; syd will follow it when running, connected and replaying"
    );
    sql::write(&world.primary().url(), "after").await;
    let syd = world.server("syd").unwrap();
    syd.start().await.unwrap();
    shows(syd, world.primary(), &["after", "before"]).await;
    world.rejoin("nrt").await.unwrap();
    shows(world.server("nrt").unwrap(), world.primary(), &["after", "before"]).await;
}

#[tokio::test]
async fn a_frozen_primary_is_replaced_and_continues_alone() {
    let world = world().await;
    let nrt = world.server("nrt").unwrap();
    sql::write(&nrt.url(), "before").await;
    let position = nrt.position().await.unwrap();
    world.server("ord").unwrap().wait_until_replayed(position, DEADLINE).await.unwrap();
    nrt.freeze().await.unwrap();

    let promotion = world.promote("ord").await.unwrap();
    assert_eq!(promotion.following, ["syd"]);
    nrt.thaw().await.unwrap();

    sql::write(&nrt.url(), "alone").await;
    sql::write(&world.primary().url(), "after").await;
    shows(world.server("syd").unwrap(), world.primary(), &["after", "before"]).await;
}

#[tokio::test]
async fn a_stranded_replica_is_named_and_rejoins() {
    let world = world().await;
    let [nrt, ord, syd] = ["nrt", "ord", "syd"].map(|region| world.server(region).unwrap());
    sql::write(&nrt.url(), "before").await;
    ord.wait_until_replayed(nrt.position().await.unwrap(), DEADLINE).await.unwrap();
    world.links().cut("nrt", "ord").unwrap();
    sql::write(&nrt.url(), "lost").await;
    syd.wait_until_replayed(nrt.position().await.unwrap(), DEADLINE).await.unwrap();

    let refused = world.switch_over("ord").await.unwrap_err();
    assert!(matches!(refused, LabError::NotReceived { .. }), "{refused}");
    assert!(nrt.is_running());
    let promotion = world.promote("ord").await.unwrap();

    assert_eq!(promotion.stranded, ["syd"], "{promotion:?}");
    assert!(
        promotion.to_string().ends_with("; syd has received what it never did, and needs `rejoin`"),
        "{promotion}"
    );
    assert_eq!(sql::notes(&ord.url()).await, ["before"]);
    world.rejoin("syd").await.unwrap();
    shows(syd, ord, &["before"]).await;
}

#[tokio::test]
async fn delayed_replicas_lose_nothing() {
    let world = world().await;
    let [nrt, ord, syd] = ["nrt", "ord", "syd"].map(|region| world.server(region).unwrap());
    sql::write(&nrt.url(), "before").await;
    world.catch_up().await.unwrap();
    ord.lag(Duration::from_hours(1)).await.unwrap();
    syd.pause_replay().await.unwrap();
    sql::write(&nrt.url(), "held back").await;

    let promotion = world.switch_over("ord").await.unwrap();

    assert_eq!(sql::notes(&ord.url()).await, ["before", "held back"]);
    assert_eq!(
        (&*promotion.waiting, sql::notes(&syd.url()).await),
        (&["syd".to_owned()][..], vec!["before".to_owned()])
    );
    sql::write(&ord.url(), "after").await;
    syd.resume_replay().await.unwrap();
    shows(syd, ord, &["after", "before", "held back"]).await;
}

#[tokio::test]
async fn unknown_regions_are_refused_with_the_known_ones() {
    let world = world().await;
    let unknown = world.promote("lhr").await.unwrap_err();
    assert_eq!(unknown.to_string(), "no server in `lhr`: there is one in nrt, ord, syd");
    world.server("ord").unwrap().stop().await.unwrap();
    assert!(matches!(world.promote("ord").await, Err(LabError::NotRunning { .. })));
    assert!(matches!(world.promote("nrt").await, Err(LabError::NotAReplica { .. })));
}

async fn start(folder: &Path) -> World {
    World::builder().primary("nrt").replicas(["ord", "syd"]).folder(folder).start().await.unwrap()
}

#[tokio::test]
async fn a_folder_keeps_the_data_of_the_newest_primary() {
    let (_clone, folder) = clone();
    let world = start(&folder).await;
    sql::write(&world.primary().url(), "before").await;
    world.promote("ord").await.unwrap();
    sql::write(&world.server("nrt").unwrap().url(), "never seen").await;
    sql::write(&world.primary().url(), "ord's").await;
    world.shutdown().await.unwrap();

    // The next start assigns the roles as described.
    let world = start(&folder).await;
    assert!(!world.is_new());
    assert_eq!(
        world.servers().map(Server::role).collect::<Vec<_>>(),
        [Role::Primary, Role::Replica, Role::Replica]
    );
    for server in world.servers() {
        shows(server, world.primary(), &["before", "ord's"]).await;
    }
    assert!(!folder.join("promotions").exists());

    // Two more promotions; the second makes nrt the primary again.
    world.promote("syd").await.unwrap();
    world.rejoin("nrt").await.unwrap();
    let promotion = world.switch_over("nrt").await.unwrap();
    assert_eq!(promotion.timeline, 4);
    sql::write(&world.primary().url(), "nrt's").await;
    drop(world);
    let world = World::builder().primary("ord").folder(&folder).start().await.unwrap();
    assert_eq!(sql::notes(&world.primary().url()).await, ["before", "nrt's", "ord's"]);
}

#[tokio::test]
async fn a_start_finishes_what_a_killed_one_began() {
    use std::fs::rename;
    let (_clone, folder) = clone();
    let [primary, ord, aside, note] =
        ["primary", "replica-ord", "primary.before", "promotions"].map(|name| folder.join(name));
    let mut expected = Vec::new();
    for steps in 0..=3 {
        let world = start(&folder).await;
        world.promote("ord").await.unwrap();
        let written = format!("step {steps}");
        sql::write(&world.primary().url(), &written).await;
        expected.push(written);
        world.shutdown().await.unwrap();
        let all: [&dyn Fn(); 3] =
            [&|| rename(&primary, &aside).unwrap(), &|| rename(&ord, &primary).unwrap(), &|| {
                std::fs::remove_file(&note).unwrap();
            }];
        all.iter().take(steps).for_each(|step| step());

        let world = start(&folder).await;
        assert!(!world.is_new());
        for server in world.servers() {
            shows(
                server,
                world.primary(),
                &expected.iter().map(String::as_str).collect::<Vec<_>>(),
            )
            .await;
        }
        world.shutdown().await.unwrap();
        assert!(!aside.exists() && !note.exists());
    }
    // A promotion that was recorded and did not happen.
    std::fs::write(&note, "replica-ord\n").unwrap();
    let world = start(&folder).await;
    assert_eq!(sql::notes(&world.primary().url()).await, expected);
}

#[tokio::test]
async fn an_old_primary_in_a_folder_is_rewound() {
    let (_clone, folder) = clone();
    let world = start(&folder).await;
    let nrt = world.server("nrt").unwrap();
    sql::write(&nrt.url(), "before").await;
    world.promote("ord").await.unwrap();
    sql::write(&nrt.url(), "diverged").await;
    sql::write(&world.primary().url(), "after").await;

    assert_eq!(world.rejoin("nrt").await.unwrap(), Rejoined::Rewound);
    shows(nrt, world.primary(), &["after", "before"]).await;

    // A crashed server can be rewound; damaged data cannot.
    world.promote("nrt").await.unwrap();
    let ord = world.server("ord").unwrap();
    sql::write(&ord.url(), "diverged").await;
    ord.kill().await.unwrap();
    assert_eq!(world.rejoin("ord").await.unwrap(), Rejoined::Rewound);
    world.promote("syd").await.unwrap();
    nrt.stop().await.unwrap();
    std::fs::remove_dir_all(folder.join("primary/pg_wal")).unwrap();
    assert_eq!(world.rejoin("nrt").await.unwrap(), Rejoined::Copied);
    shows(nrt, world.primary(), &["after", "before"]).await;
}
