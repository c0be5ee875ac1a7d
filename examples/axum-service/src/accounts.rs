//! Accounts, and transfers between them.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::repos::{Reader, Writer};
use crate::schema::{accounts, transfers};

#[derive(Serialize, Queryable)]
pub struct Account {
    id: i64,
    owner: String,
    cents: i32,
}

#[derive(Deserialize, Insertable)]
#[diesel(table_name = accounts)]
pub struct NewAccount {
    owner: String,
    cents: i32,
}

#[derive(Clone, Copy, Deserialize, Insertable)]
#[diesel(table_name = transfers)]
pub struct Transfer {
    payer: i64,
    payee: i64,
    cents: i32,
}

pub async fn open(
    writer: Writer,
    Json(new): Json<NewAccount>,
) -> Result<(StatusCode, Json<Account>), Failure> {
    let insert = diesel::insert_into(accounts::table).values(new);
    let account = writer.primary().get_result(insert).await?.value;
    Ok((StatusCode::CREATED, Json(account)))
}

pub async fn show(reader: Reader, Path(id): Path<i64>) -> Result<Json<Account>, Failure> {
    Ok(Json(reader.replica().get_result(accounts::table.find(id)).await?))
}

/// Two transfers may read the same balances at once: PostgreSQL then undoes one, which runs again.
pub async fn transfer(
    writer: Writer,
    Json(transfer): Json<Transfer>,
) -> Result<StatusCode, Failure> {
    let Transfer { payer, payee, cents } = transfer;
    if cents <= 0 {
        return Err(Failure::Refused("a transfer has more than 0 cents"));
    }
    let serializable = writer.primary().isolation(archipelago::Isolation::Serializable);
    let transaction = serializable.retries(5).transaction(async move |connection| {
        let balance = accounts::table.find(payer).select(accounts::cents);
        if balance.get_result::<i32>(connection).await? < cents {
            return Err(Failure::Refused("the payer has too little"));
        }
        for (account, change) in [(payer, -cents), (payee, cents)] {
            diesel::update(accounts::table.find(account))
                .set(accounts::cents.eq(accounts::cents + change))
                .execute(connection)
                .await?;
        }
        diesel::insert_into(transfers::table).values(transfer).execute(connection).await?;
        Ok(())
    });
    transaction.await?;
    Ok(StatusCode::NO_CONTENT)
}
