/* Every exported function with everything wrong that C can pass, one at a time
 * and in all combinations: what is generated from the header (generate.lua),
 * what is tried for each kind of parameter (boundary.c), and the right
 * arguments (fixture.c). */
#ifndef ACERVO_TESTS_BOUNDARY_H
#define ACERVO_TESTS_BOUNDARY_H

#include "check.h"

/* What a parameter is, by its type and its place. */
enum recipe {
    RECIPE_HANDLE,      /* of the type `of` */
    RECIPE_TEXT,        /* its length follows */
    RECIPE_BYTES,       /* the same, without ACERVO_NTS */
    RECIPE_BUFFER,      /* its size follows */
    RECIPE_LENGTH,      /* of what stands before it, and tried with that */
    RECIPE_LIST,        /* of handles of the type `of` */
    RECIPE_LIST_LENGTH, /* of all lists before it */
    RECIPE_OUT,         /* a place of `size` bytes */
    RECIPE_OUT_HANDLE,  /* a place for a handle of the type `of` */
    RECIPE_ERR,
    RECIPE_CALLBACK,
    RECIPE_USERDATA,
    RECIPE_DESTROY,
    RECIPE_IN_UINT64,
    RECIPE_LUA_API,
    RECIPE_LUA_STATE,
    RECIPE_BOOL,
    RECIPE_INT32,
    RECIPE_INT64,
    RECIPE_UINT32,
    RECIPE_UINT64,
    RECIPE_SIZE,
    RECIPE_DOUBLE
};

enum result {
    RESULT_CODE,     /* with an `err` */
    RESULT_NUMBER,   /* int, bool or a code without an error */
    RESULT_OWNED,    /* a handle of the type `of` */
    RESULT_BORROWED, /* text or a handle */
    RESULT_NOTHING
};

struct argument {
    const void *pointer;
    uint64_t number;
    double real;
    void (*function)(void);
    void (*destroy)(void *userdata);
};

struct outcome {
    int64_t number;
    const void *pointer;
};

/* The function and the parameter that something is made for. */
struct call_site {
    const char *function;
    const char *parameter;
};

struct handle_type {
    void *(*make)(const struct call_site *site);
    void (*release)(void *handle);
};

struct parameter {
    const char *name;
    enum recipe recipe;
    const struct handle_type *of;
    size_t size;
};

struct function {
    const char *name;
    void (*call)(const struct argument *arguments, struct outcome *outcome);
    const struct parameter *parameters;
    size_t count;
    enum result result;
    const struct handle_type *of;
};

/* Generated. */
extern const struct function functions[];
extern const size_t function_count;

/* ---- fixture.c */

/* A database that functions are tried on; `spoil_fixture` has the next call
 * get a new one. */
void open_fixture(const char *function);
void spoil_fixture(void);
void close_fixture(void);

/* The right text for a parameter. */
const char *text_for(const struct call_site *site);
/* The right number; true if there is one that is not 1. */
bool number_for(const struct call_site *site, uint64_t *number);
/* Whether NULL is right too for a pointer. */
bool may_be_null(const struct call_site *site);
/* Whether a number is one that the function has to refuse. */
bool is_refused(const struct call_site *site, const struct argument *number);
/* What messages call a parameter. */
const char *name_in_messages(const struct call_site *site);
/* What a call gives when everything is right. */
int32_t usual_code(const char *function);
/* Whether ACERVO_NOT_FOUND comes without an error. */
bool is_quiet(const char *function);
/* Whether the function takes its handle away. */
bool consumes(const char *function);
/* Whether a call leaves the database of no use for the next one. */
bool spoils(const char *function);
/* The callback for a parameter. */
void (*callback_for(const struct call_site *site))(void);

#endif
