//! Reports over all accounts, read near this instance.

use axum::Json;
use diesel::dsl::{count_star, sum};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;

use crate::failure::Failure;
use crate::repos::Reader;
use crate::schema::{accounts, transfers};

#[derive(Serialize)]
pub struct Totals {
    accounts: i64,
    cents: i64,
}

#[derive(Serialize)]
pub struct Overview {
    totals: Totals,
    richest: Vec<String>,
}

/// Both numbers are of one state of the database.
async fn totals(reader: &Reader) -> Result<Totals, archipelago::Error> {
    reader
        .replica()
        .snapshot(async |reads| {
            let accounts = reads.get_result(accounts::table.count()).await?;
            let cents: Option<i64> =
                reads.get_result(accounts::table.select(sum(accounts::cents))).await?;
            Ok(Totals { accounts, cents: cents.unwrap_or(0) })
        })
        .await
}

/// Two tasks read at once. Each has a clone of the reader, which knows the same visitor.
pub async fn overview(reader: Reader) -> Result<Json<Overview>, Failure> {
    let richest = tokio::spawn({
        let reader = reader.clone();
        let query = accounts::table.order(accounts::cents.desc()).select(accounts::owner).limit(3);
        async move { reader.replica().load::<String>(query).await }
    });
    let totals = tokio::spawn(async move { totals(&reader).await });
    Ok(Json(Overview { totals: totals.await??, richest: richest.await?? }))
}

/// Written for Diesel's connection, and used by programs that know no replicas.
async fn busiest_payers(connection: &mut AsyncPgConnection) -> QueryResult<Vec<(i64, i64)>> {
    transfers::table
        .group_by(transfers::payer)
        .select((transfers::payer, count_star()))
        .order(count_star().desc())
        .load(connection)
        .await
}

pub async fn payers(reader: Reader) -> Result<Json<Vec<(i64, i64)>>, Failure> {
    let payers = reader
        .replica()
        .connection(async |connection| Ok::<_, Failure>(busiest_payers(connection).await?));
    Ok(Json(payers.await?))
}
