//! A table with an enum of the database, and the only value of it that the program knows.

use std::io::Write;

use diesel::deserialize::{FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{IsNull, Output, ToSql};

pub const CREATE_TYPE: &str = "CREATE TYPE mood AS ENUM ('happy')";
pub const CREATE_TABLE: &str = "CREATE TABLE moods (id bigserial PRIMARY KEY, mood mood NOT NULL)";

#[derive(diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(name = "mood"))]
pub struct MoodType;

#[derive(Clone, Copy, Debug, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = MoodType)]
pub struct Happy;

impl ToSql<MoodType, Pg> for Happy {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> diesel::serialize::Result {
        out.write_all(b"happy")?;
        Ok(IsNull::No)
    }
}

impl FromSql<MoodType, Pg> for Happy {
    fn from_sql(value: PgValue<'_>) -> diesel::deserialize::Result<Self> {
        match value.as_bytes() {
            b"happy" => Ok(Self),
            other => Err(format!("{} is no mood", String::from_utf8_lossy(other)).into()),
        }
    }
}

diesel::table! {
    use diesel::sql_types::BigInt;
    use super::MoodType;

    moods (id) { id -> BigInt, mood -> MoodType }
}
