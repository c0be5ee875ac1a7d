//! Several servers in one region: reads are spread over them, and each has its own health.

use std::collections::HashSet;

use archipelago::{DownReason, Error, Freshness, Reason, RepoSet, Settings};
use archipelago_lab::{World, eventually};
use diesel::prelude::*;
use diesel::sql_types::Double;

use super::setup::{DEADLINE, HOUR, create_users, users};

archipelago::repos! {
    primary home;
    replica near;
    replica "near-2" { region: near };
    replica "near-3" { region: near };
}

diesel::define_sql_function! { fn pg_sleep(seconds: Double) -> diesel::sql_types::Text; }

async fn served(repos: &Repos) -> Result<(&'static str, Reason), Error> {
    let read = repos.replica().load_served::<String>(users::table.select(users::name)).await?;
    Ok((read.served_by.region, read.served_by.reason))
}

/// The servers of `near` are those of `near` and `far` in the world; the third has no URL.
#[archipelago_lab::test(primary = "home", replicas = ["near", "far"], own_servers)]
async fn reads_go_to_the_least_busy_server_of_the_region(world: World) {
    create_users(&world).await;
    let url = |region: &str| world.server(region).unwrap().url();
    let vars = [
        ("DATABASE_URL", url("home")),
        ("DATABASE_URL_NEAR", url("near")),
        ("DATABASE_URL_NEAR_2", url("far")),
    ];
    let settings = Settings::from_vars::<Repos>(|name| {
        let var = vars.iter().find(|(known, _)| *known == name).map(|(_, url)| url.clone());
        var.ok_or(std::env::VarError::NotPresent)
    });
    let settings = settings.unwrap().with_max_lag(HOUR).in_region("near");
    let repos = Repos::connect(&settings).await.unwrap();

    let mut seen = HashSet::new();
    eventually("idle servers take turns", DEADLINE, async || {
        let (region, reason) = served(&repos).await.unwrap();
        seen.insert((region, reason));
        seen.len() == 2
    })
    .await;
    assert_eq!(seen, HashSet::from([("near", Reason::Local), ("near-2", Reason::Local)]));

    let slow = repos.replica().load_served::<String>(diesel::select(pg_sleep(600.0)));
    let mut slow = Box::pin(slow);
    let busy = eventually("a server is busy", DEADLINE, async || {
        tokio::select! {
            biased;
            _ = &mut slow => panic!("the slow read is answered"),
            read = served(&repos) => {
                read.unwrap();
                let member =
                    |member: &archipelago::Member| member.reading().state().idle == 0;
                repos.members().find(|it| it.info().region == "near" && member(it))
                    .map(|it| it.info().code)
            }
        }
    })
    .await;
    for _ in 0..10 {
        assert_ne!(served(&repos).await.unwrap().0, busy);
    }
    drop(slow);

    // What the first has not replayed is read from the second, which is as near.
    world.server("near").unwrap().pause_replay().await.unwrap();
    let ada = diesel::insert_into(users::table).values((users::name.eq("Ada"), users::age.eq(36)));
    let position = repos.primary().execute(ada).await.unwrap().position;
    let fresh = async || {
        let reads = repos.replica().fresh(Freshness::AtLeast(position));
        let read = reads.load_served::<String>(users::table.select(users::name)).await.unwrap();
        assert_eq!(read.value, ["Ada"]);
        (read.served_by.region, read.served_by.reason)
    };
    let mut seen = HashSet::new();
    eventually("the second server has replayed it", DEADLINE, async || fresh().await.0 == "near-2")
        .await;
    eventually("the first server is asked too", DEADLINE, async || {
        seen.insert(fresh().await);
        seen.len() == 2
    })
    .await;
    assert_eq!(seen, HashSet::from([("near-2", Reason::Local), ("near-2", Reason::Fresher)]));
    world.server("near").unwrap().resume_replay().await.unwrap();

    world.server("far").unwrap().kill().await.unwrap();
    eventually("the other server takes its reads", DEADLINE, async || {
        let second = repos.members().nth(2).unwrap();
        second.health().up == Some(false)
    })
    .await;
    for _ in 0..10 {
        assert_eq!(served(&repos).await.unwrap(), ("near", Reason::Local));
    }

    let off = repos.repo_near_3().reads().load::<String>(users::table.select(users::name)).await;
    let off = off.unwrap_err();
    let Error::Unreachable { reason, .. } = &off else { panic!("{off}") };
    assert!(matches!(reason, DownReason::Off { .. }), "{off}");
    assert!(off.to_string().contains("DATABASE_URL_NEAR_3"), "{off}");
    repos.shutdown().await;
}
