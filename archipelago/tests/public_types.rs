//! Every public type can be sent to another task, shared among tasks, and printed.

use std::fmt::Debug;

use archipelago::{
    Access, Cluster, Committed, DatabaseUrl, DownReason, Error, Freshness, Health, InvalidPosition,
    Login, Member, NoPrimary, NotServed, Pool, PoolState, Position, Primary, QueryError,
    ReadResult, Reader, Reason, RegionInfo, Replica, Role, ServedBy, SettingProblem, Settings,
    SettingsError, Snapshot, SslMode, Timeouts, TlsError, Tried, UnknownRegion, UrlError, Writer,
    Writes,
};

archipelago::repos! { primary home; replica near }

const fn is_send_sync_and_debug<T: Send + Sync + Debug>() {}

/// A type that is none of it does not compile here.
macro_rules! check {
    ($($type:ty,)*) => { $(const _: () = is_send_sync_and_debug::<$type>();)* };
}

check! {
    Access, Cluster, Committed<i64>, DatabaseUrl, DownReason, Error, Freshness, Health,
    InvalidPosition, Login, Member, NoPrimary, NotServed, Pool, PoolState, Position, Primary<'_>,
    QueryError, ReadResult<i64>, Reader<Repos>, Reason, RegionInfo, Replica<'_>, Role, ServedBy, SettingProblem,
    Settings, SettingsError, Snapshot<'_>, SslMode, Timeouts, TlsError, Tried, UnknownRegion,
    UrlError, Writer<Repos>, Writes,
    Repos, Region, RepoHome, RepoNear,
}

/// Neither a URL's password nor another one.
#[test]
fn no_debug_shows_a_password() {
    let url = "postgres://app:hunter2@db.example/app?password=hunter2";
    let settings = Settings::single_database::<Repos>(url)
        .unwrap()
        .with_reading_user("reader", Some("hunter2".to_owned()))
        .with_password(async |_| Ok::<_, std::io::Error>("hunter2".to_owned()));
    let repos = Repos::new(&settings).unwrap();
    let shown = format!("{settings:?} {repos:?} {:?}", repos.repo_near().pool().url());
    assert!(shown.contains("db.example") && !shown.contains("hunter2"), "{shown}");
}
