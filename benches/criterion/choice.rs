//! The nanoseconds that it takes to choose a database: the generated match beside what one would
//! write without it. No query is sent.
//!
//! `cargo bench -p archipelago-benches`

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::test::TestRequest;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage};
use archipelago::actix::{Key, Reader};
use archipelago::{Cluster, Member, Replica, Settings};
use criterion::{Criterion, criterion_group, criterion_main};

archipelago::repos! { primary home; replica near; replica far; replica farther; replica farthest }

/// The trait behind which an app without Archipelago would hide its databases.
trait Databases {
    fn replica_in(&self, region: &str) -> Replica<'_>;
}

impl Databases for HashMap<String, Arc<Member>> {
    fn replica_in(&self, region: &str) -> Replica<'_> {
        Replica::only(&self[region])
    }
}

impl Databases for Repos {
    fn replica_in(&self, region: &str) -> Replica<'_> {
        self.replica_in(region)
    }
}

fn choice(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    let settings = Settings::single_database::<Repos>("postgres://app@127.0.0.1:1/app")
        .expect("a URL")
        .in_region("near");
    let repos = runtime.block_on(Repos::connect(&settings)).expect("pools without connections");
    let cluster = Cluster::new::<Repos>(&settings).expect("members");
    let hard_coded = cluster.member(1);
    let map: HashMap<_, _> = Region::ALL
        .iter()
        .enumerate()
        .map(|(index, region)| (region.to_string(), cluster.member(index)))
        .collect();
    let boxed: Box<dyn Databases> =
        Box::new(runtime.block_on(Repos::connect(&settings)).expect("pools"));

    let mut group = criterion.benchmark_group("choosing a database");
    group.bench_function("a hard-coded pool", |bencher| {
        bencher.iter(|| Replica::only(black_box(&hard_coded)));
    });
    group.bench_function("repos.replica()", |bencher| bencher.iter(|| black_box(&repos).replica()));
    group.bench_function("repos.replica_in(code)", |bencher| {
        bencher.iter(|| black_box(&repos).replica_in(black_box("near")));
    });
    group.bench_function("repos.replica_in(code), the last", |bencher| {
        bencher.iter(|| black_box(&repos).replica_in(black_box("farthest")));
    });
    group.bench_function("HashMap<String, Arc<Member>>", |bencher| {
        bencher.iter(|| black_box(&map).replica_in(black_box("near")));
    });
    group.bench_function("Box<dyn Databases>", |bencher| {
        bencher.iter(|| black_box(&boxed).replica_in(black_box("near")));
    });
    group.finish();

    let request = TestRequest::default()
        .app_data(Data::new(repos))
        .app_data(Data::new(Key::from(&[7; 64])))
        .to_http_request();
    criterion.bench_function("a Reader out of a request", |bencher| {
        bencher.iter(|| {
            // Otherwise the second reader would find what the first has stored in the request.
            request.extensions_mut().clear();
            Reader::<Repos>::from_request(black_box(&request), &mut Payload::None)
        });
    });
}

/// All measurements together take about half a minute.
fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .without_plots()
}

criterion_group! { name = benches; config = short(); targets = choice }
criterion_main!(benches);
