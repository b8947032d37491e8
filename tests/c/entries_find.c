/* Searching a snapshot: fields, operators, pages, and what is refused. */
#include "entries.h"

#include <stdio.h>
#include <string.h>

static acervo *db;
static acervo_snapshot *now;

static void open_fixture(void)
{
    static const char *const entries[][4] = {
        {"app:web", "http.service",
         "{\"name\":\"front\",\"tags\":[\"public\",\"blue\"],\"port\":80,\"deep\":{\"a\":1}}",
         "{\"path\":\"/api/x\",\"limits\":{\"cpu\":2}}"},
        {"app:db", "sql.service", "{\"name\":\"back\",\"tags\":[\"blue\"],\"port\":5432}", "[1]"},
        {"app.api:list", "http.endpoint", "{\"deep.a\":1,\"port\":80.0}",
         "{\"path\":\"/api/list\"}"},
        {"tools:web", "tool", "{\"name\":\"fr\xc3\xb6nt\",\"port\":\"80\"}", NULL},
    };
    db = open_database(":memory:");
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        apply_entry(db, entries[i][0], entries[i][1], entries[i][2], entries[i][3]);
    now = snapshot_of(db);
}

static void close_fixture(void)
{
    acervo_snapshot_free(now);
    close_database(db);
}

static void check_found(const char *file, int line, const char *filter_text,
                        const char *options_text, const char *expected)
{
    acervo_value *filter = json(filter_text);
    acervo_value *options = options_text != NULL ? json(options_text) : NULL;
    acervo_entries *found = NULL;
    check_ok(file, line, filter_text, acervo_snapshot_find(now, filter, options, &found, ERR));
    check_list(file, line, found, expected);
    acervo_value_free(filter);
    acervo_value_free(options);
}
#define FINDS(filter, expected) check_found(__FILE__, __LINE__, filter, NULL, expected)
#define FINDS_PAGE(filter, options, expected) \
    check_found(__FILE__, __LINE__, filter, options, expected)

static void check_refused(const char *file, int line, const char *filter_text,
                          const char *options_text, const char *part)
{
    acervo_value *filter = json(filter_text);
    acervo_value *options = options_text != NULL ? json(options_text) : NULL;
    acervo_entries *found = NULL;
    check_fails(file, line, filter_text, acervo_snapshot_find(now, filter, options, &found, ERR),
                ACERVO_INVALID, part);
    CHECK(found == NULL);
    acervo_value_free(filter);
    acervo_value_free(options);
}
#define REFUSES(filter, part) check_refused(__FILE__, __LINE__, filter, NULL, part)
#define REFUSES_PAGE(options, part) check_refused(__FILE__, __LINE__, "{}", options, part)

static void no_condition_finds_everything_in_order(void)
{
    open_fixture();
    FINDS("{}", "app:db app:web app.api:list tools:web");
    close_fixture();
}

static void the_entrys_own_fields_are_matched_as_globs(void)
{
    open_fixture();
    FINDS("{\".kind\":\"http.*\"}", "app:web app.api:list");
    FINDS("{\"kind\":\"tool\"}", "tools:web");
    FINDS("{\"ns\":\"app\"}", "app:db app:web");
    FINDS("{\"namespace\":\"app*\"}", "app:db app:web app.api:list");
    FINDS("{\".name\":\"w?b\"}", "app:web tools:web");
    FINDS("{\"id\":\"*:web\"}", "app:web tools:web");
    FINDS("{\"id\":\"app:web\",\"kind\":\"tool\"}", "");
    close_fixture();
}

static void fields_of_meta_and_data_are_matched_as_they_are(void)
{
    open_fixture();
    /* "name" alone is the entry's own. */
    FINDS("{\"meta.name\":\"front\"}", "app:web");
    FINDS("{\"meta.name\":\"fr*\"}", "");
    FINDS("{\"port\":80}", "app:web app.api:list");
    FINDS("{\"meta\":{\"port\":\"80\"}}", "tools:web");
    /* The literal key, or else a path. */
    FINDS("{\"deep.a\":1}", "app:web app.api:list");
    FINDS("{\"data.limits.cpu\":2}", "app:web");
    FINDS("{\"nothing\":1}", "");
    close_fixture();
}

static void an_array_wants_all_its_elements(void)
{
    open_fixture();
    FINDS("{\"tags\":[\"blue\"]}", "app:db app:web");
    FINDS("{\"tags\":[\"blue\",\"public\"]}", "app:web");
    FINDS("{\"tags\":\"blue\"}", "");
    FINDS("{\"port\":[80]}", "");
    close_fixture();
}

static void operators_stand_in_front_of_the_field(void)
{
    open_fixture();
    FINDS("{\"~.name\":\"^(web|db)$\"}", "app:db app:web tools:web");
    FINDS("{\"~data.path\":\"/api/.*\"}", "app:web app.api:list");
    FINDS("{\"*meta.tags\":\"publ\"}", "app:web");
    FINDS("{\"*data.path\":\"pi/l\"}", "app.api:list");
    FINDS("{\"^meta.name\":\"fr\"}", "app:web tools:web");
    FINDS("{\"$meta.name\":\"ont\"}", "app:web");
    FINDS("{\"^kind\":\"http\",\"$.id\":\"web\"}", "app:web");
    /* What is no string matches no operator. */
    FINDS("{\"^port\":\"8\"}", "tools:web");
    close_fixture();
}

static void limit_and_offset_cut_a_page_out(void)
{
    open_fixture();
    FINDS_PAGE("{}", "{}", "app:db app:web app.api:list tools:web");
    FINDS_PAGE("{}", "{\"limit\":2}", "app:db app:web");
    FINDS_PAGE("{}", "{\"limit\":2,\"offset\":1}", "app:web app.api:list");
    FINDS_PAGE("{}", "{\"offset\":3,\"limit\":5}", "tools:web");
    FINDS_PAGE("{}", "{\"offset\":4}", "");
    FINDS_PAGE("{}", "{\"limit\":0}", "");
    FINDS_PAGE("{\"kind\":\"http.*\"}", "{\"offset\":1}", "app.api:list");
    close_fixture();
}

static void a_bad_condition_is_invalid_and_named(void)
{
    char filter[5000], pattern[4200];
    open_fixture();
    REFUSES("{\".colour\":\"red\"}", ".colour");
    REFUSES("{\"~.name\":\"(\"}", "~.name");
    REFUSES("{\"^meta.name\":1}", "^meta.name");
    REFUSES("{\"*tags\":[\"blue\"]}", "*tags");
    REFUSES("{\"$id\":true}", "$id");
    memset(pattern, 'a', sizeof pattern - 1);
    pattern[sizeof pattern - 1] = '\0';
    snprintf(filter, sizeof filter, "{\"~meta.name\":\"%s\"}", pattern);
    REFUSES(filter, "~meta.name");
    REFUSES("[1]", "");
    REFUSES("1", "");
    close_fixture();
}

static void a_bad_page_is_invalid_and_named(void)
{
    open_fixture();
    REFUSES_PAGE("{\"limit\":-1}", "limit");
    REFUSES_PAGE("{\"offset\":-1}", "offset");
    REFUSES_PAGE("{\"limit\":\"2\"}", "limit");
    REFUSES_PAGE("{\"page\":1}", "page");
    REFUSES_PAGE("[1]", "");
    close_fixture();
}

static void a_search_sees_its_own_version_only(void)
{
    open_fixture();
    FINDS("{\"kind\":\"tool\"}", "tools:web");
    apply_delete(db, "tools:web");
    FINDS("{\"kind\":\"tool\"}", "tools:web");
    acervo_snapshot_free(now);
    now = snapshot_of(db);
    FINDS("{\"kind\":\"tool\"}", "");
    acervo_snapshot_free(now);
    now = snapshot_at(db, 1);
    FINDS("{\"name\":\"web\"}", "app:web");
    close_fixture();
}

static void a_closed_database_can_be_searched_through_its_snapshots(void)
{
    acervo_snapshot *kept;
    open_fixture();
    kept = acervo_snapshot_retain(now);
    close_fixture();
    now = kept;
    FINDS("{\"kind\":\"http.*\"}", "app:web app.api:list");
    acervo_snapshot_free(now);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(no_condition_finds_everything_in_order),
        TEST(the_entrys_own_fields_are_matched_as_globs),
        TEST(fields_of_meta_and_data_are_matched_as_they_are),
        TEST(an_array_wants_all_its_elements),
        TEST(operators_stand_in_front_of_the_field),
        TEST(limit_and_offset_cut_a_page_out),
        TEST(a_bad_condition_is_invalid_and_named),
        TEST(a_bad_page_is_invalid_and_named),
        TEST(a_search_sees_its_own_version_only),
        TEST(a_closed_database_can_be_searched_through_its_snapshots),
    };
    return RUN_TESTS(cases, argc, argv);
}
