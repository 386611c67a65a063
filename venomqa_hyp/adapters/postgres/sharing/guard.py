"""The SQL by which a shared connection notices that COMMIT was sent as SQL."""

# SET CONSTRAINTS ALL IMMEDIATE fires the trigger too; it then arms itself again. What COMMIT does
# about deferred constraints is done at each commit() of the application.
#: Installs the trigger, and what a commit of the application does.
GUARD = r"""
CREATE TEMPORARY TABLE venomqa_guard () ON COMMIT DROP;
CREATE FUNCTION pg_temp.venomqa_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_query() ~* '\mset\s+constraints\M|^SELECT pg_temp\.venomqa_commit'
            AND current_query() !~* '\m(commit|end)\M' THEN
        SET CONSTRAINTS pg_temp.venomqa_guard DEFERRED;
        INSERT INTO pg_temp.venomqa_guard DEFAULT VALUES;
    ELSE
        RAISE EXCEPTION 'venomqa: COMMIT was sent as SQL on a shared connection'
            USING HINT = 'Call commit() of the connection, or use connection.transaction().';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION pg_temp.venomqa_commit() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    deferred text;
BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE condeferrable
            AND connamespace <> pg_my_temp_schema()) THEN
        SET CONSTRAINTS ALL IMMEDIATE;
        SELECT string_agg(DISTINCT format('%I.%I', nspname, conname), ', ') INTO deferred
        FROM pg_constraint JOIN pg_namespace AS n ON n.oid = connamespace WHERE condeferred;
        EXECUTE coalesce('SET CONSTRAINTS ' || deferred || ' DEFERRED', 'SELECT');
    END IF;
END $$;
CREATE CONSTRAINT TRIGGER venomqa_guard AFTER INSERT ON pg_temp.venomqa_guard
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.venomqa_guard();
INSERT INTO pg_temp.venomqa_guard DEFAULT VALUES;
"""
#: Whether the transaction is still the one that the guard was installed in.
IS_GUARDED = "SELECT to_regclass('pg_temp.venomqa_guard') IS NOT NULL"
