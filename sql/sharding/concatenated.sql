-- All elements of several arrays. PostgreSQL's array_agg() would make a table of them.
create or replace aggregate scooters_router.concatenated(text[]) (
    sfunc = array_cat,
    stype = text[],
    initcond = '{}'
);

comment on aggregate scooters_router.concatenated(text[]) is
'The elements of several arrays, in one.';
