/* A host that ends with everything open. It has to be a process of its own, so
 * this program tests one thing; what tells is a tool that looks for leaks. */
#include "entries.h"

#include <stdio.h>

/* What a host that does not tidy up still points to. */
static struct {
    acervo *db;
    acervo_kv *registry, *store;
    acervo_snapshot *snapshot;
} host;

static void what_is_open_when_a_process_ends_is_no_leak(void)
{
    char key[16];
    host.db = open_database(scratch_path("unclosed.db"));
    host.registry = registry_of(host.db);
    CHECK_OK(acervo_kv_store(host.db, "unclosed", ACERVO_NTS, &host.store, ERR));
    /* So many that what holds them is made anew several times. */
    for (int number = 0; number < 5000; number++) {
        snprintf(key, sizeof key, "key/%d", number);
        put_int(host.registry, key, number);
    }
    put_int(host.store, "key", 1);
    CHECK_OK(acervo_kv_delete(host.registry, "key/7", ACERVO_NTS, ERR));
    apply_create(host.db, "app:unclosed", "1");
    host.snapshot = snapshot_of(host.db);
    CHECK_HOLDS(host.registry, "key/8", "8");
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(what_is_open_when_a_process_ends_is_no_leak),
    };
    return RUN_TESTS(cases, argc, argv);
}
