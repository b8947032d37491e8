/* An event loop: poll(2) on a socket and on the feed of the entry registry.
 *     cc events.c $(pkg-config --cflags --libs acervo) -pthread
 *
 * A sensor (here a thread, else another process) sends readings as datagrams;
 * the loop keeps each as an entry. A handler refuses what cannot be. The feed
 * tells what became of it, and what any other process does with the file. */
#include <acervo.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void *sensor(void *argument)
{
    static const char *const readings[] = {"cpu 80", "fan -1", "cpu 75", "end"};
    const int *to = argument;
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++)
        if (send(*to, readings[i], strlen(readings[i]), 0) < 0)
            perror("send");
    return NULL;
}

/* Nothing is below zero. */
static int32_t check_reading(void *userdata, acervo_op *op)
{
    int64_t reading = 0;
    (void)userdata;
    if (acervo_value_as_int(acervo_entry_data(acervo_op_entry(op)), &reading, NULL) != ACERVO_OK ||
        reading >= 0)
        return ACERVO_ACCEPT;
    acervo_op_set_error(op, ACERVO_INVALID, "a reading below zero", ACERVO_NTS);
    return ACERVO_INVALID;
}

/* Keeps a reading as the data of sensor:NAME. */
static int32_t keep(acervo *db, const char *name, int64_t reading, acervo_error **err)
{
    char id[64];
    acervo_value *data = acervo_value_int(reading);
    acervo_snapshot *now = NULL;
    acervo_entry *before = NULL, *entry = NULL;
    acervo_changes *changes = NULL;
    int32_t code;
    snprintf(id, sizeof id, "sensor:%s", name);
    if ((code = acervo_snapshot_current(db, &now, err)) == ACERVO_OK &&
        (code = acervo_entry_new(id, ACERVO_NTS, "sensor.reading", ACERVO_NTS, NULL, data, &entry,
                                 err)) == ACERVO_OK) {
        int is_there = acervo_snapshot_get(now, id, ACERVO_NTS, &before, NULL) == ACERVO_OK;
        changes = acervo_changes_new(now);
        code = (is_there ? acervo_changes_update : acervo_changes_create)(changes, entry, err);
        if (code == ACERVO_OK)
            code = acervo_changes_apply(changes, NULL, err);
    }
    acervo_changes_free(changes);
    acervo_entry_free(before);
    acervo_entry_free(entry);
    acervo_snapshot_free(now);
    acervo_value_free(data);
    return code;
}

/* Prints an event as JSON. */
static void print_event(const acervo_value *event)
{
    acervo_value *json = NULL;
    const char *text = NULL;
    size_t length = 0;
    if (acervo_value_to_json(event, &json, NULL) == ACERVO_OK &&
        acervo_value_as_string(json, &text, &length, NULL) == ACERVO_OK)
        printf("%.*s\n", (int)length, text);
    acervo_value_free(json);
}

/* Reads what is there; the descriptor is readable until that is done. */
static int32_t drain(acervo_feed *feed, acervo_error **err)
{
    acervo_value *event = NULL;
    int32_t code;
    while ((code = acervo_feed_next(feed, 0, &event, err)) == ACERVO_OK) {
        print_event(event);
        acervo_value_free(event);
    }
    if (code != ACERVO_TIMEOUT)
        return code;
    acervo_error_free(*err);
    *err = NULL;
    return ACERVO_OK;
}

/* Until the sensor has ended. */
static int32_t loop(acervo *db, acervo_feed *feed, int from, acervo_error **err)
{
    struct pollfd fds[2] = {{.fd = from, .events = POLLIN},
                            {.fd = acervo_feed_fd(feed), .events = POLLIN}};
    for (;;) {
        char text[64], name[32];
        int64_t reading;
        ssize_t length;
        int32_t code;
        if (poll(fds, 2, -1) < 0)
            continue; /* a signal */
        if ((fds[1].revents & POLLIN) && (code = drain(feed, err)) != ACERVO_OK)
            return code;
        if (!(fds[0].revents & POLLIN) || (length = recv(from, text, sizeof text - 1, 0)) < 0)
            continue;
        text[length] = '\0';
        if (sscanf(text, "%31s %" SCNd64, name, &reading) != 2)
            return drain(feed, err);
        if (keep(db, name, reading, err) != ACERVO_OK) {
            printf("%s: %s\n", text, acervo_error_message(*err, NULL));
            acervo_error_free(*err);
            *err = NULL;
        }
    }
}

int main(int argc, char **argv)
{
    acervo *db = NULL;
    acervo_feed *feed = NULL;
    acervo_error *err = NULL;
    pthread_t thread;
    int ends[2], failed;
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0 ||
        pthread_create(&thread, NULL, sensor, &ends[0]) != 0) {
        perror("events");
        return 1;
    }
    if (acervo_open(argc > 1 ? argv[1] : "events.db", ACERVO_NTS, NULL, &db, &err) == ACERVO_OK &&
        acervo_on(db, "sensor.*", ACERVO_NTS, 0, check_reading, NULL, NULL, NULL, &err) ==
            ACERVO_OK &&
        acervo_events(db, 1000, &feed, &err) == ACERVO_OK &&
        loop(db, feed, ends[1], &err) == ACERVO_OK)
        acervo_close(db, &err);
    failed = err != NULL;
    if (failed)
        fprintf(stderr, "events: %s\n", acervo_error_message(err, NULL));
    acervo_feed_free(feed);
    acervo_free(db);
    pthread_join(thread, NULL);
    close(ends[0]);
    close(ends[1]);
    acervo_error_free(err);
    return failed;
}
