-- What a router consists of, in order of dependency. "make router" reads this list:
-- first what makes a router, then what it is made of, then what uses that.
\ir tables.sql
\ir routes.sql
\ir shard_of.sql
\ir shard_name.sql
\ir cluster_of.sql
\ir mission_of.sql
\ir is_answer.sql
\ir answer_as_ours.sql
\ir rows_of.sql
\ir set_options.sql
\ir place_shard.sql
\ir add_columns.sql
\ir build_question.sql
\ir build_function.sql
\ir build_view.sql
\ir build_router.sql
\ir finish_router.sql
\ir checked_config.sql
\ir divided_config.sql
\ir merged_board.sql
\ir applied_migrations.sql
\ir missing_shards.sql
\ir planned_totals.sql
\ir apply_config.sql
\ir board.sql
