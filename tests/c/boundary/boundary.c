/* What is tried for each kind of parameter, and what every call has to keep:
 * the code, the outs, the error, the callbacks' data. */
#include "boundary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PARAMETERS 12
#define MOST_VARIANTS 12
/* More combinations than that of one function are tried in pairs only. */
#define MOST_CALLS 40000
#define LONGEST ((uint64_t)PTRDIFF_MAX)

/* One thing that is tried for a parameter, or for a pointer with its length. */
struct variant {
    struct argument first, second;
    bool is_made; /* a handle, made for the call */
    bool is_place; /* an out parameter or a list: points to one */
    bool is_bad;
};

/* A parameter that varies on its own. */
struct group {
    size_t place;
    size_t count;
    struct variant variants[MOST_VARIANTS];
};

static struct {
    unsigned long calls, nulls, refused;
} total;

static const struct function *current;
static int destroyed;

static void count_destroyed(void *userdata)
{
    CHECK(userdata == &destroyed);
    destroyed++;
}

static struct call_site site_of(size_t place)
{
    return (struct call_site){current->name, current->parameters[place].name};
}

/* Not a constant: what it divides is not folded with a warning. */
static double zero(void)
{
    static volatile double nothing;
    return nothing;
}

static bool is_number(enum recipe recipe) { return recipe >= RECIPE_BOOL; }

static bool has_length(enum recipe recipe)
{
    return recipe == RECIPE_TEXT || recipe == RECIPE_BYTES || recipe == RECIPE_BUFFER;
}

/* --------------------------------------------------------------- variants */

static struct variant *add(struct group *group)
{
    CHECK(group->count < MOST_VARIANTS);
    struct variant *variant = &group->variants[group->count++];
    memset(variant, 0, sizeof *variant);
    return variant;
}

static void add_with_length(struct group *group, const void *pointer, uint64_t length, bool is_bad)
{
    struct variant *variant = add(group);
    variant->first.pointer = pointer;
    variant->second.number = length;
    variant->is_bad = is_bad;
}

static void add_number(struct group *group, const struct call_site *site, uint64_t number)
{
    struct variant *variant = add(group);
    variant->first.number = number;
    variant->is_bad = is_refused(site, &variant->first);
}

static void add_real(struct group *group, const struct call_site *site, double real)
{
    struct variant *variant = add(group);
    variant->first.real = real;
    variant->is_bad = is_refused(site, &variant->first);
}

static void add_place_or_null(struct group *group, const struct call_site *site)
{
    add(group)->is_place = true;
    add(group)->is_bad = !may_be_null(site);
}

static void add_numbers(struct group *group, const struct call_site *site, enum recipe recipe)
{
    static const int64_t narrow[] = {0, -1, 3, 4, INT32_MAX, INT32_MIN, -100};
    static const int64_t wide[] = {0, -1, 2, INT64_MAX, INT64_MIN};
    uint64_t right = 1;
    number_for(site, &right);
    add_number(group, site, right);
    if (recipe == RECIPE_BOOL) {
        add_number(group, site, 0);
    } else if (recipe == RECIPE_INT32 || recipe == RECIPE_UINT32) {
        for (size_t i = 0; i < sizeof narrow / sizeof narrow[0]; i++)
            add_number(group, site, recipe == RECIPE_UINT32 ? (uint32_t)narrow[i]
                                                            : (uint64_t)narrow[i]);
    } else {
        for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
            add_number(group, site, (uint64_t)wide[i]);
    }
}

static char a_lua_state[64];
static acervo_lua_api lua_apis[3];

/* The first variant is right. */
static void fill(struct group *group, size_t place)
{
    static uint64_t version_of_root = 0, version_of_nobody = UINT64_MAX;
    static char buffer[64];
    const struct parameter *parameter = &current->parameters[place];
    const struct call_site site = site_of(place);
    const bool is_optional = may_be_null(&site);
    const char *text;
    group->place = place;
    group->count = 0;
    switch (parameter->recipe) {
    case RECIPE_HANDLE:
        add(group)->is_made = true;
        add(group)->is_bad = !is_optional;
        break;
    case RECIPE_TEXT:
        text = text_for(&site);
        add_with_length(group, text, ACERVO_NTS, false);
        add_with_length(group, text, strlen(text), false);
        add_with_length(group, text, 0, false);
        add_with_length(group, NULL, 0, false);
        add_with_length(group, NULL, 1, true);
        add_with_length(group, NULL, ACERVO_NTS, true);
        add_with_length(group, NULL, LONGEST + 1, true);
        add_with_length(group, text, LONGEST + 1, true);
        add_with_length(group, text, SIZE_MAX - 1, true);
        break;
    case RECIPE_BYTES:
        text = text_for(&site);
        add_with_length(group, text, strlen(text), false);
        add_with_length(group, text, 0, false);
        add_with_length(group, NULL, 0, false);
        add_with_length(group, NULL, 1, true);
        add_with_length(group, NULL, SIZE_MAX, true);
        add_with_length(group, text, LONGEST + 1, true);
        add_with_length(group, text, SIZE_MAX, true);
        break;
    case RECIPE_BUFFER:
        add_with_length(group, buffer, sizeof buffer, false);
        add_with_length(group, buffer, 0, false);
        add_with_length(group, NULL, 0, false);
        add_with_length(group, NULL, 1, true);
        add_with_length(group, NULL, SIZE_MAX, true);
        break;
    case RECIPE_LIST:
        /* Whether the others are bad depends on the length. */
        add(group)->is_place = true;
        add(group);
        add(group)->is_place = true;
        break;
    case RECIPE_LIST_LENGTH:
        add(group)->first.number = 1;
        add(group)->first.number = 0;
        add(group)->first.number = LONGEST / sizeof(void *);
        add(group)->first.number = LONGEST / sizeof(void *) + 1;
        add(group)->first.number = SIZE_MAX;
        for (size_t i = 2; i < 5; i++)
            group->variants[i].is_bad = true;
        break;
    case RECIPE_OUT:
    case RECIPE_OUT_HANDLE:
        add_place_or_null(group, &site);
        /* Where nothing can be said about it, NULL is nothing to say. */
        if (current->result != RESULT_CODE)
            group->variants[1].is_bad = false;
        break;
    case RECIPE_ERR:
        add(group)->is_place = true;
        add(group);
        break;
    case RECIPE_CALLBACK:
        add(group)->first.function = callback_for(&site);
        add(group)->is_bad = !is_optional;
        break;
    case RECIPE_USERDATA:
        add(group)->first.pointer = &destroyed;
        break;
    case RECIPE_DESTROY:
        add(group)->first.destroy = count_destroyed;
        add(group);
        break;
    case RECIPE_IN_UINT64:
        add(group)->first.pointer = &version_of_root;
        add(group);
        add(group)->first.pointer = &version_of_nobody;
        break;
    case RECIPE_LUA_API:
        lua_apis[0] = (acervo_lua_api){sizeof(acervo_lua_api), 504, 0, NULL, NULL};
        lua_apis[1] = (acervo_lua_api){1, 504, 0, NULL, NULL};
        lua_apis[2] = (acervo_lua_api){sizeof(acervo_lua_api), 504, UINT32_MAX, NULL, NULL};
        for (size_t i = 0; i < 3; i++)
            add(group)->first.pointer = &lua_apis[i];
        add(group)->is_bad = true;
        break;
    case RECIPE_LUA_STATE:
        add(group)->first.pointer = a_lua_state;
        add(group)->is_bad = true;
        break;
    case RECIPE_DOUBLE:
        add_real(group, &site, 1.0);
        add_real(group, &site, 0.0);
        add_real(group, &site, -1.0);
        add_real(group, &site, 1e308);
        add_real(group, &site, 1.0 / zero());
        add_real(group, &site, zero() / zero());
        break;
    case RECIPE_BOOL:
    case RECIPE_INT32:
    case RECIPE_INT64:
    case RECIPE_UINT32:
    case RECIPE_UINT64:
    case RECIPE_SIZE:
        add_numbers(group, &site, parameter->recipe);
        break;
    case RECIPE_LENGTH:
        CHECK(!"lengths go with what they are of");
    }
}

/* ------------------------------------------------------------------- call */

/* A place that the function has to reset or to fill. */
union place {
    void *handle;
    unsigned char bytes[8];
};

static const unsigned char untouched[8] = {0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5};
static const unsigned char zeroes[8] = {0};

struct attempt {
    struct argument arguments[MOST_PARAMETERS];
    union place places[MOST_PARAMETERS];
    const void *lists[MOST_PARAMETERS][1];
    void *made[MOST_PARAMETERS];
    bool is_bad;
    bool is_right; /* nothing but what is right */
    /* What is not as usual: what a message may be about. */
    const char *unusual[2 * MOST_PARAMETERS];
    size_t unusual_count;
    acervo_error *error;
    bool has_error;
};

static char description[512];

static void describe(const struct group *groups, size_t count, const size_t *choice)
{
    size_t used = (size_t)snprintf(description, sizeof description, "%s(", current->name);
    for (size_t i = 0; i < count && used < sizeof description; i++)
        used += (size_t)snprintf(description + used, sizeof description - used, "%s%s #%zu",
                                 i > 0 ? ", " : "", current->parameters[groups[i].place].name,
                                 choice[i]);
}

#define EXPECT(condition)                                                              \
    do {                                                                               \
        if (!(condition))                                                              \
            check_failed(__FILE__, __LINE__, "%s): %s", description, #condition);      \
    } while (0)

/* The length that goes with the list at `place`: the next one. */
static uint64_t length_of_list(const struct group *groups, size_t count, const size_t *choice,
                               size_t place)
{
    for (size_t i = 0; i < count; i++)
        if (groups[i].place > place &&
            current->parameters[groups[i].place].recipe == RECIPE_LIST_LENGTH)
            return groups[i].variants[choice[i]].first.number;
    return 1;
}

static void prepare(struct attempt *attempt, const struct group *groups, size_t count, const size_t *choice)
{
    memset(attempt, 0, sizeof *attempt);
    attempt->is_right = true;
    for (size_t i = 0; i < count; i++) {
        const size_t place = groups[i].place;
        const struct parameter *parameter = &current->parameters[place];
        const struct variant *variant = &groups[i].variants[choice[i]];
        const struct call_site site = site_of(place);
        struct argument *argument = &attempt->arguments[place];
        *argument = variant->first;
        if (has_length(parameter->recipe))
            attempt->arguments[place + 1] = variant->second;
        if (choice[i] > 0 && parameter->recipe != RECIPE_ERR) {
            attempt->is_right = false;
            attempt->unusual[attempt->unusual_count++] = name_in_messages(&site);
        }
        if (variant->is_made)
            argument->pointer = attempt->made[place] = parameter->of->make(&site);
        attempt->is_bad = attempt->is_bad || variant->is_bad;
        if (parameter->recipe == RECIPE_LIST) {
            if (choice[i] == 0)
                attempt->lists[place][0] = attempt->made[place] = parameter->of->make(&site);
            if (choice[i] != 1)
                argument->pointer = attempt->lists[place];
            /* One that is longer is refused before it is looked at, and by a
             * list's name. */
            const uint64_t length = length_of_list(groups, count, choice, place);
            if ((choice[i] > 0 && length == 1) || length > 1)
                attempt->is_bad = true;
            if (length != 1)
                attempt->unusual[attempt->unusual_count++] = name_in_messages(&site);
        } else if (parameter->recipe == RECIPE_ERR && variant->is_place) {
            memcpy(&attempt->error, untouched, sizeof attempt->error);
            attempt->has_error = true;
            argument->pointer = &attempt->error;
        } else if (variant->is_place) {
            memcpy(attempt->places[place].bytes, untouched, sizeof untouched);
            argument->pointer = attempt->places[place].bytes;
        }
        if (argument->pointer == NULL && !is_number(parameter->recipe) &&
            parameter->recipe != RECIPE_LIST_LENGTH && argument->function == NULL &&
            argument->destroy == NULL)
            total.nulls++;
    }
}

static void check_error(const struct attempt *attempt, int32_t code)
{
    size_t length = strlen(current->name);
    const char *message = NULL;
    if (!attempt->has_error)
        return;
    if (code >= 0 || (code == ACERVO_NOT_FOUND && is_quiet(current->name))) {
        EXPECT(attempt->error == NULL);
        return;
    }
    EXPECT(attempt->error != NULL);
    EXPECT(acervo_error_code(attempt->error) == code);
    message = acervo_error_message(attempt->error, NULL);
    /* What acervo_lua.h wraps has the name that it has there. */
    if (length > 5 && strcmp(current->name + length - 5, "_with") == 0)
        length -= 5;
    EXPECT(strncmp(message, current->name, length) == 0 && message[length] == ':');
    bool is_named = !attempt->is_bad;
    for (size_t i = 0; i < attempt->unusual_count; i++)
        is_named = is_named || strstr(message + length, attempt->unusual[i]) != NULL;
    if (!is_named && code == ACERVO_INVALID)
        check_failed(__FILE__, __LINE__, "%s): the message names no wrong parameter: %s",
                     description, message);
    acervo_error_free(attempt->error);
}

/* Resets that were made and results that were written. */
static void check_places(struct attempt *attempt, bool failed, int32_t code)
{
    for (size_t i = 0; i < current->count; i++) {
        const struct parameter *parameter = &current->parameters[i];
        const unsigned char *bytes = attempt->places[i].bytes;
        const bool is_handle = parameter->recipe == RECIPE_OUT_HANDLE;
        const size_t size = is_handle ? sizeof(void *) : parameter->size;
        if ((parameter->recipe != RECIPE_OUT && !is_handle) ||
            attempt->arguments[i].pointer == NULL)
            continue;
        EXPECT(memcmp(bytes, untouched, size) != 0);
        EXPECT(memcmp(bytes + size, untouched, 8 - size) == 0);
        if (failed && !(code == ACERVO_TOO_SMALL && strcmp(parameter->name, "out_len") == 0))
            EXPECT(memcmp(bytes, zeroes, size) == 0);
        if (!failed && is_handle) {
            EXPECT(attempt->places[i].handle != NULL);
            parameter->of->release(attempt->places[i].handle);
        }
    }
}

static void check_result(struct attempt *attempt, const struct outcome *outcome)
{
    const int32_t code = (int32_t)outcome->number;
    bool failed = attempt->is_bad;
    switch (current->result) {
    case RESULT_CODE:
        failed = code != ACERVO_OK;
        EXPECT(code <= 0 && strcmp(acervo_code_name(code), "ACERVO_?") != 0);
        EXPECT(code != ACERVO_PANIC && code != ACERVO_FORKED);
        if (attempt->is_bad) {
            /* A list that does not fit into memory is no wrong argument. */
            EXPECT(code == ACERVO_INVALID || code == ACERVO_INTERNAL);
            total.refused++;
        }
        if (attempt->is_right && code != usual_code(current->name))
            check_failed(__FILE__, __LINE__, "%s): all is right, and it gave %s: %s", description,
                         acervo_code_name(code), attempt->has_error && attempt->error != NULL
                                                     ? acervo_error_message(attempt->error, NULL)
                                                     : "");
        check_error(attempt, code);
        break;
    case RESULT_NUMBER:
        /* 0, false and -1 are what stands for nothing. */
        if (attempt->is_bad) {
            EXPECT(outcome->number == 0 || outcome->number == -1);
            total.refused++;
        }
        break;
    case RESULT_OWNED:
        if (attempt->is_bad) {
            EXPECT(outcome->pointer == NULL);
            total.refused++;
        } else if (attempt->is_right) {
            EXPECT(outcome->pointer != NULL);
        }
        if (outcome->pointer != NULL)
            current->of->release((void *)outcome->pointer);
        break;
    case RESULT_BORROWED:
        if (attempt->is_bad) {
            EXPECT(outcome->pointer == NULL);
            total.refused++;
        } else if (attempt->is_right && current->count > 0 &&
                   current->parameters[0].recipe == RECIPE_HANDLE &&
                   strcmp(current->name, "acervo_error_details") != 0) {
            EXPECT(outcome->pointer != NULL);
        }
        break;
    case RESULT_NOTHING:
        break;
    }
    check_places(attempt, failed, code);
}

/* Its data goes exactly once: at once if the call failed, else with what it
 * was registered for. */
static void check_destroyed(const struct attempt *attempt, int32_t code)
{
    for (size_t i = 0; i < current->count; i++) {
        if (current->parameters[i].recipe != RECIPE_DESTROY ||
            attempt->arguments[i].destroy == NULL)
            continue;
        if (code != ACERVO_OK)
            EXPECT(destroyed == 1);
        /* What was registered for good goes with the database, which may be
         * closed by another thread. */
        if (destroyed == 0)
            spoil_fixture();
        for (int tries = 0; destroyed == 0 && tries < 3000; tries++)
            sleep_ms(10);
        EXPECT(destroyed == 1);
    }
}

static void try_one(const struct group *groups, size_t count, const size_t *choice)
{
    struct attempt attempt;
    struct outcome outcome = {0, NULL};
    const bool taken = consumes(current->name);
    open_fixture(current->name);
    describe(groups, count, choice);
    prepare(&attempt, groups, count, choice);
    destroyed = 0;
    current->call(attempt.arguments, &outcome);
    total.calls++;
    check_result(&attempt, &outcome);
    for (size_t i = 0; i < current->count; i++)
        if (attempt.made[i] != NULL && !taken)
            current->parameters[i].of->release(attempt.made[i]);
    check_destroyed(&attempt, (int32_t)outcome.number);
    if (spoils(current->name))
        spoil_fixture();
}

/* ---------------------------------------------------------------- choices */

static size_t groups_of_current(struct group *groups)
{
    size_t count = 0;
    for (size_t i = 0; i < current->count; i++)
        if (current->parameters[i].recipe != RECIPE_LENGTH)
            fill(&groups[count++], i);
    return count;
}

static void try_singles(const struct group *groups, size_t count)
{
    size_t choice[MOST_PARAMETERS] = {0};
    try_one(groups, count, choice);
    for (size_t i = 0; i < count; i++) {
        for (choice[i] = 1; choice[i] < groups[i].count; choice[i]++)
            try_one(groups, count, choice);
        choice[i] = 0;
    }
    /* The last of everything: NULL or the largest. */
    for (size_t i = 0; i < count; i++)
        choice[i] = groups[i].count - 1;
    try_one(groups, count, choice);
}

static void try_product(const struct group *groups, size_t count)
{
    size_t choice[MOST_PARAMETERS] = {0};
    for (;;) {
        size_t i = 0;
        try_one(groups, count, choice);
        while (i < count && ++choice[i] == groups[i].count)
            choice[i++] = 0;
        if (i == count)
            return;
    }
}

static void check_small_enough(const struct group *groups, size_t count)
{
    unsigned long product = 1;
    for (size_t i = 0; i < count; i++)
        product *= groups[i].count;
    EXPECT(product < MOST_CALLS);
}

static void try_all(bool combined)
{
    static struct group groups[MOST_PARAMETERS];
    const char *only = getenv("ACERVO_ONLY_FUNCTION");
    for (size_t i = 0; i < function_count; i++) {
        current = &functions[i];
        CHECK(current->count <= MOST_PARAMETERS);
        if (only != NULL && strcmp(only, current->name) != 0)
            continue;
        const size_t count = groups_of_current(groups);
        check_small_enough(groups, count);
        if (combined)
            try_product(groups, count);
        else
            try_singles(groups, count);
    }
    close_fixture();
    printf("      %zu functions, %lu calls, %lu NULLs, %lu refused\n", function_count, total.calls,
           total.nulls, total.refused);
}

/* Also under valgrind. */
static void one_wrong_argument_is_refused_by_name(void) { try_all(false); }

static void every_combination_of_wrong_arguments_is_refused(void) { try_all(true); }

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(one_wrong_argument_is_refused_by_name),
        TEST(every_combination_of_wrong_arguments_is_refused),
    };
    return RUN_TESTS(cases, argc, argv);
}
