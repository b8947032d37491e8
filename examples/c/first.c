/* A first program: counts its own runs.   cc first.c $(pkg-config --cflags --libs acervo) */
#include <acervo.h>
#include <inttypes.h>
#include <stdio.h>

static int fail(acervo_error *err)
{
    fprintf(stderr, "first: %s\n", acervo_error_message(err, NULL));
    acervo_error_free(err);
    return 1;
}

int main(int argc, char **argv)
{
    acervo *db = NULL;
    acervo_kv *store = NULL;
    acervo_error *err = NULL;
    int64_t runs = 0;
    if (acervo_open(argc > 1 ? argv[1] : "first.db", ACERVO_NTS, NULL, &db, &err) != ACERVO_OK)
        return fail(err);
    if (acervo_kv_store(db, "first", ACERVO_NTS, &store, &err) == ACERVO_OK &&
        acervo_kv_incr(store, "runs", ACERVO_NTS, 1, &runs, &err) == ACERVO_OK)
        printf("This program has run %" PRId64 " times.\n", runs);
    acervo_kv_free(store);
    if (err == NULL)
        acervo_close(db, &err);
    acervo_free(db);
    return err == NULL ? 0 : fail(err);
}
