#include "feeds.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

acervo_feed *feed_of(acervo *of, uint32_t capacity)
{
    acervo_feed *feed = NULL;
    CHECK_OK(acervo_events(of, capacity, &feed, ERR));
    CHECK(feed != NULL);
    return feed;
}

static void text_in(const acervo_value *map, const char *key, char *out, size_t room)
{
    acervo_value *text = NULL;
    const char *bytes = NULL;
    size_t length = 0;
    CHECK_OK(acervo_value_get(map, key, ACERVO_NTS, &text, ERR));
    CHECK_OK(acervo_value_as_string(text, &bytes, &length, ERR));
    CHECK(length < room);
    memcpy(out, bytes, length);
    out[length] = '\0';
    acervo_value_free(text);
}

static void word_of(acervo_value *event, char *out, size_t room)
{
    static const char *const names[][2] = {
        {"registry.begin", "begin"},     {"registry.commit", "commit"},
        {"registry.discard", "discard"}, {"entry.create", "+"},
        {"entry.update", "~"},           {"entry.delete", "-"},
        {"gap", "gap"},
    };
    char kind[32], id[64] = "";
    const char *name = NULL;
    acervo_value *part = NULL;
    int64_t version = -1;
    bool foreign = false;
    text_in(event, "kind", kind, sizeof kind);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        name = strcmp(names[i][0], kind) == 0 ? names[i][1] : name;
    CHECK(name != NULL);
    CHECK_OK(acervo_value_get(event, "version", ACERVO_NTS, &part, ERR));
    CHECK_OK(acervo_value_as_int(part, &version, ERR));
    acervo_value_free(part);
    if (acervo_value_get(event, "foreign", ACERVO_NTS, &part, NULL) == ACERVO_OK) {
        CHECK_OK(acervo_value_as_bool(part, &foreign, ERR));
        acervo_value_free(part);
    }
    if (acervo_value_get(event, "entry", ACERVO_NTS, &part, NULL) == ACERVO_OK) {
        text_in(part, "id", id, sizeof id);
        acervo_value_free(part);
    }
    snprintf(out, room, "%s%s%s@%" PRId64, foreign ? "F" : "", name, id, version);
    acervo_value_free(event);
}

void check_read(const char *file, int line, acervo_feed *feed, int64_t timeout_ms,
                const char *expected)
{
    char text[1024] = "";
    size_t used = 0;
    for (const char *at = expected; at != NULL && *at != '\0';
         at = strchr(at, ' ') != NULL ? strchr(at, ' ') + 1 : NULL) {
        acervo_value *event = NULL;
        char word[96];
        if (acervo_feed_next(feed, timeout_ms, &event, NULL) != ACERVO_OK)
            check_failed(file, line, "no more events behind \"%s\", not \"%s\"", text, expected);
        word_of(event, word, sizeof word);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used > 0 ? " " : "",
                                 word);
    }
    check_text(file, line, "what the feed told", text, expected);
}

void check_empty(const char *file, int line, acervo_feed *feed)
{
    acervo_value *event = (acervo_value *)feed;
    check_fails(file, line, "acervo_feed_next", acervo_feed_next(feed, 0, &event, ERR),
                ACERVO_TIMEOUT, "no event");
    CHECK(event == NULL);
}

bool is_readable(const acervo_feed *feed, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = acervo_feed_fd(feed), .events = POLLIN};
    CHECK(poll_fd.fd >= 0);
    CHECK(poll(&poll_fd, 1, timeout_ms) >= 0);
    return (poll_fd.revents & POLLIN) != 0;
}
