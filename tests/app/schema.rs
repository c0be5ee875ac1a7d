//! `app/schema.rs` has the tables that the migrations make.

use archipelago_lab::World;
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use expect_test::expect;

use super::site::{PRIMARY, REPLICAS, environment, primary, settings};

/// The database's columns in the notation of `diesel::table!` are those of the file.
#[archipelago_lab::test(primary = PRIMARY, replicas = REPLICAS)]
async fn schema_rs_is_what_the_migrations_make(world: World) {
    #[derive(QueryableByName)]
    struct Column {
        #[diesel(sql_type = Text)]
        table_name: String,
        #[diesel(sql_type = Text)]
        column: String,
    }
    let vars = environment(&world).await;
    let mut connection =
        archipelago::connect(settings(&vars).databases.url(primary()).unwrap()).await.unwrap();
    let columns: Vec<Column> = diesel::sql_query(
        "SELECT table_name::text, column_name || ' -> ' || CASE is_nullable WHEN 'YES' THEN 'Nullable<' ELSE '' END
             || CASE data_type WHEN 'bigint' THEN 'BigInt' WHEN 'integer' THEN 'Integer' WHEN 'text' THEN 'Text'
             WHEN 'uuid' THEN 'Uuid' WHEN 'timestamp without time zone' THEN 'Timestamp' ELSE data_type END
             || CASE is_nullable WHEN 'YES' THEN '>' ELSE '' END AS column
         FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_diesel%' ORDER BY table_name, ordinal_position",
    )
    .load(&mut connection)
    .await
    .unwrap();
    let database: Vec<_> =
        columns.iter().map(|column| format!("{}.{}", column.table_name, column.column)).collect();

    let mut table = String::new();
    let mut declared = Vec::new();
    for line in include_str!("../../app/schema.rs").lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(" (id) {") {
            name.clone_into(&mut table);
        } else if line.contains(" -> ") {
            declared.push(format!("{table}.{}", line.trim_end_matches(',')));
        }
    }
    assert_eq!(declared, database, "app/schema.rs on the left, the database on the right");
    expect![[r#"users.id -> BigInt, users.name -> Text, users.age -> Integer, users.idempotency_key -> Nullable<Uuid>, users.inserted_at -> Timestamp, users.updated_at -> Timestamp"#]]
        .assert_eq(&database.join(", "));
}
