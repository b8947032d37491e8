// Handlers, feeds, the policy and load_state of the C++ layer.
#include "acervo.hpp"
#include "check.h"

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <poll.h>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using acervopp::answer;
using acervopp::changes;
using acervopp::database;
using acervopp::entry;
using acervopp::entry_registry;
using acervopp::event;
using acervopp::feed;
using acervopp::op;
using acervopp::op_kind;
using acervopp::subscription;
using acervopp::value;

namespace {

/// The T of a call that must succeed.
template <class T>
T must(acervopp::result<T> made)
{
    if (!made)
        check_failed(__FILE__, __LINE__, "%.*s", static_cast<int>(made.error().message().size()),
                     made.error().message().data());
    return *std::move(made);
}

void must(acervopp::result<void> done)
{
    if (!done)
        check_failed(__FILE__, __LINE__, "%.*s", static_cast<int>(done.error().message().size()),
                     done.error().message().data());
}

acervopp::result<std::uint64_t> try_create(entry_registry &registry, std::string_view id,
                                           std::string_view kind = "test")
{
    changes queued = must(registry.snapshot()).new_changes();
    must(queued.create(must(entry::make(id, kind))));
    return queued.apply();
}

bool says(const acervopp::error &why, std::string_view part)
{
    return why.message().find(part) != std::string_view::npos;
}

std::string word_of(const op &asked)
{
    static const char *const names[] = {"", "+", "~", "-", "begin", "commit", "discard"};
    std::string word = asked.is_undo() ? "undo" : "";
    word += asked.is_dry_run() ? "dry" : "";
    word += names[static_cast<std::int32_t>(asked.kind())];
    CHECK(!asked.is_foreign());
    const std::optional<entry> about = asked.entry();
    return about ? word.append(about->id()) : word;
}

void a_handler_is_asked_until_its_subscription_ends()
{
    entry_registry registry = must(database::open(":memory:")).entries();
    std::string log;
    const auto note = [&log](const op &asked) {
        log += word_of(asked) + " ";
        return answer::accept();
    };
    {
        subscription held = must(registry.on("test.*", note, {true, false}));
        subscription moved = std::move(held);
        CHECK(moved.active() && !held.active());  // NOLINT: the moved-from state is promised
        CHECK(must(try_create(registry, "a:x", "test.a")) == 1);
        CHECK(must(try_create(registry, "a:y", "other")) == 2);
        CHECK(log == "begin +a:x commit begin commit ");
    }
    log.clear();
    CHECK(must(try_create(registry, "a:z", "test.a")) == 3);
    CHECK(log.empty());
    subscription replayed = must(registry.on("**", note, {false, true}));
    CHECK(log == "+a:x +a:y +a:z ");
    replayed.cancel();
    replayed.cancel();
    CHECK(!replayed.active());
}

void a_handler_lives_as_long_as_it_can_be_asked()
{
    database db = must(database::open(":memory:"));
    const auto alive = std::make_shared<int>(0);
    const auto handler = [alive](const op &) { return answer::accept(); };
    subscription held = must(db.entries().on("**", handler));
    must(db.entries().on_always("**", handler));
    CHECK(alive.use_count() == 4);
    held.cancel();
    CHECK(alive.use_count() == 3);
    CHECK(db.entries().on("a..b", handler).code() == ACERVO_INVALID);
    CHECK(db.entries().on("**", nullptr).code() == ACERVO_INVALID);
    CHECK(alive.use_count() == 3);
    must(db.close());
    CHECK(alive.use_count() == 2);
}

void a_refusal_has_the_kind_and_the_reason_of_the_answer()
{
    entry_registry registry = must(database::open(":memory:")).entries();
    subscription held = must(registry.on("**", [](const op &) {
        return answer::reject(ACERVO_RATE_LIMITED, "not so fast");
    }));
    auto made = try_create(registry, "a:x");
    CHECK(made.code() == ACERVO_RATE_LIMITED);
    CHECK(made.error().retryable());
    CHECK(says(made.error(), "refused entry a:x: not so fast"));
    held = must(registry.on("**", [](const op &) {
        return answer::reject(acervopp::error(ACERVO_CONFLICT, "what went wrong inside"));
    }));
    made = try_create(registry, "a:x");
    CHECK(made.code() == ACERVO_CONFLICT);
    CHECK(says(made.error(), "what went wrong inside"));
}

#ifdef ACERVOPP_EXCEPTIONS
void what_a_handler_throws_is_an_internal_refusal()
{
    entry_registry registry = must(database::open(":memory:")).entries();
    subscription held = must(registry.on("**", [](const op &asked) -> answer {
        if (asked.entry()->name() == "y")
            throw 1;
        throw std::runtime_error("it broke");
    }));
    auto made = try_create(registry, "a:x");
    CHECK(made.code() == ACERVO_INTERNAL);
    CHECK(says(made.error(), "it broke"));
    CHECK(try_create(registry, "a:y").code() == ACERVO_INTERNAL);
    CHECK(must(registry.current_version()) == 0);
}
#endif

void a_copy_of_the_op_is_answered_later()
{
    entry_registry registry = must(database::open(":memory:")).entries();
    std::vector<std::thread> answering;
    subscription held = must(registry.on("**", [&answering](const op &asked) {
        answering.emplace_back([later = asked]() mutable {
            if (later.entry()->name() == "x")
                must(later.accept());
            else
                must(later.reject(ACERVO_CANCELED, "changed my mind"));
            CHECK(says(later.accept().error(), "too late"));
        });
        return answer::pending();
    }));
    CHECK(must(try_create(registry, "a:x")) == 1);
    const auto refused = try_create(registry, "a:y");
    CHECK(refused.code() == ACERVO_CANCELED);
    CHECK(says(refused.error(), "changed my mind"));
    for (std::thread &one : answering)
        one.join();
}

void an_op_has_entry_and_original()
{
    entry_registry registry = must(database::open(":memory:")).entries();
    must(try_create(registry, "a:x"));
    std::optional<op> kept;
    subscription held = must(registry.on("**", [&kept](const op &asked) {
        kept = asked;
        return answer::accept();
    }));
    changes queued = must(registry.snapshot()).new_changes();
    must(queued.update(must(entry::make("a:x", "test", std::nullopt, 5))));
    must(queued.apply());
    CHECK(kept->kind() == op_kind::update);
    CHECK(kept->entry()->data() == value(5));
    CHECK(kept->original().has_value() && !kept->original()->data().has_value());
    CHECK(kept->reject(0).code() == ACERVO_INVALID);
    CHECK(kept->reject().code() == ACERVO_INVALID);
    const op moved = *std::move(kept);
    CHECK(kept->kind() == op_kind::invalid);  // NOLINT: the moved-from state is promised
    CHECK(!kept->entry().has_value());
    CHECK(moved.entry()->id() == "a:x");
}

std::string name_of(const event &one)
{
    std::string text = one.kind + "@" + std::to_string(one.version);
    if (one.entry)
        text += " " + must(must(one.entry->at("id")).as<std::string>());
    return text;
}

void a_feed_gives_what_happens_as_events()
{
    using namespace std::chrono_literals;
    database db = must(database::open(":memory:"));
    entry_registry registry = db.entries();
    feed events = must(registry.events());
    CHECK(events.next(0s).code() == ACERVO_TIMEOUT);
    CHECK(events.next(-5ms).code() == ACERVO_TIMEOUT);
    must(try_create(registry, "a:x"));
    pollfd readable{events.fd(), POLLIN, 0};
    CHECK(poll(&readable, 1, 0) == 1);
    CHECK(name_of(must(events.next())) == "registry.begin@1");
    const event created = must(events.next(1h));
    CHECK(name_of(created) == "entry.create@1 a:x");
    CHECK(!created.original.has_value() && !created.foreign);
    CHECK(name_of(must(events.next(std::chrono::hours::max()))) == "registry.commit@1");
    CHECK(poll(&readable, 1, 0) == 0);
    feed narrow = must(registry.events(1));
    must(try_create(registry, "a:y"));
    CHECK(name_of(must(narrow.next(0s))) == "gap@2");
    CHECK(registry.events(0).code() == ACERVO_INVALID);
    must(db.close());
    CHECK(narrow.next().code() == ACERVO_INTERNAL);
}

void a_state_is_loaded_on_a_baseline()
{
    entry_registry registry = must(database::open(":memory:")).entries();
    const entry base = must(entry::make("b:base", "test"));
    CHECK(registry.load_state({base, base}).code() == ACERVO_INVALID);
    CHECK(registry.load_state({}, 7).code() == ACERVO_NOT_FOUND);
    CHECK(must(registry.load_state({base}, 0)) == 0);
    CHECK(must(must(registry.snapshot()).contains("b:base")));
    CHECK(registry.load_state().code() == ACERVO_INVALID);
}

void a_policy_lives_until_it_is_replaced()
{
    database db = must(database::open(":memory:"));
    const auto alive = std::make_shared<int>(0);
    const auto deny = [alive](std::string_view, std::string_view, std::string_view) {
        return false;
    };
    must(db.set_policy(deny));
    CHECK(alive.use_count() == 3);
    must(db.set_policy(deny));
    CHECK(alive.use_count() == 3);
    must(db.set_policy(nullptr));
    CHECK(alive.use_count() == 2);
    must(db.set_policy(deny));
    must(db.close());
    CHECK(alive.use_count() == 2);
    CHECK(db.set_policy(deny).code() == ACERVO_INTERNAL);
    CHECK(alive.use_count() == 2);
}

static_assert(!std::is_copy_constructible_v<subscription> && !std::is_copy_constructible_v<feed>);
static_assert(std::is_nothrow_move_constructible_v<subscription> &&
              std::is_nothrow_move_assignable_v<feed>);
static_assert(std::is_copy_constructible_v<op> && std::is_nothrow_move_constructible_v<op>);

}  // namespace

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(a_handler_is_asked_until_its_subscription_ends),
        TEST(a_handler_lives_as_long_as_it_can_be_asked),
        TEST(a_refusal_has_the_kind_and_the_reason_of_the_answer),
#ifdef ACERVOPP_EXCEPTIONS
        TEST(what_a_handler_throws_is_an_internal_refusal),
#endif
        TEST(a_copy_of_the_op_is_answered_later),
        TEST(an_op_has_entry_and_original),
        TEST(a_feed_gives_what_happens_as_events),
        TEST(a_state_is_loaded_on_a_baseline),
        TEST(a_policy_lives_until_it_is_replaced),
    };
    return RUN_TESTS(cases, argc, argv);
}
