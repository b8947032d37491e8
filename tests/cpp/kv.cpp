// Databases and namespaces of the C++ layer.
#include "acervo.hpp"
#include "check.h"

#include <atomic>
#include <chrono>
#include <limits>
#include <string>
#include <thread>
#include <vector>

using acervopp::database;
using acervopp::kv;
using acervopp::stored;
using acervopp::value;
using namespace std::chrono_literals;

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

kv new_registry() { return must(must(database::open(":memory:")).registry()); }

void a_put_is_read_back()
{
    kv registry = new_registry();
    must(registry.put("config", value::map({{"timeout", 30}})));
    const auto found = must(registry.get("config"));
    CHECK(found.has_value());
    CHECK(found->held.at("timeout")->as<int>().value_or(0) == 30);
    CHECK(found->timestamp > 1600000000);
    CHECK(must(registry.contains("config")));
}

void a_missing_key_is_no_error_and_a_stored_nil_is_not_missing()
{
    kv registry = new_registry();
    CHECK(!must(registry.get("k")).has_value());
    CHECK(!must(registry.contains("k")));
    must(registry.put("k", nullptr));
    const auto found = must(registry.get("k"));
    CHECK(found.has_value() && found->held.is_nil());
    must(registry.remove("k"));
    must(registry.remove("k"));
    CHECK(!must(registry.get("k")).has_value());
}

void get_or_gives_the_fallback_for_a_missing_key_only()
{
    kv registry = new_registry();
    CHECK(must(registry.get_or("limit", 80)) == 80);
    must(registry.put("limit", 70));
    CHECK(must(registry.get_or("limit", 80)) == 70);
    must(registry.put("limit", "high"));
    CHECK(registry.get_or("limit", 80).code() == ACERVO_INVALID);
    CHECK(must(registry.get_or<std::string>("limit", "")) == "high");
}

void bad_keys_and_values_are_invalid()
{
    kv registry = new_registry();
    CHECK(registry.put("", 1).code() == ACERVO_INVALID);
    CHECK(registry.put({}, 1).code() == ACERVO_INVALID);
    CHECK(registry.put(std::string(1025, 'k'), 1).code() == ACERVO_INVALID);
    CHECK(registry.put("k", std::numeric_limits<std::uint64_t>::max()).code() == ACERVO_INVALID);
    CHECK(registry.cas("k", value::adopt(nullptr), 1).code() == ACERVO_INVALID);
    CHECK(!must(registry.contains("k")));
}

void a_ttl_is_any_duration()
{
    kv registry = new_registry();
    must(registry.put("short", 1, 300ms));
    must(registry.put("fraction", 1, std::chrono::duration<double>(0.3)));
    must(registry.put("tiny", 1, 1us));
    must(registry.put("long", 1, 1h));
    CHECK(registry.put("never", 1, 0s).code() == ACERVO_INVALID);
    CHECK(registry.put("never", 1, -1.5s).code() == ACERVO_INVALID);
    CHECK(registry.put("never", 1, std::chrono::hours::max()).code() == ACERVO_INVALID);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK(registry.put("never", 1, std::chrono::duration<double>(nan)).code() == ACERVO_INVALID);
    CHECK(!must(registry.contains("never")));
    CHECK(must(registry.contains("short")));
    sleep_ms(500);
    CHECK(!must(registry.contains("short")));
    CHECK(!must(registry.contains("fraction")));
    CHECK(!must(registry.contains("tiny")));
    CHECK(must(registry.contains("long")));
}

void numbers_are_added_to()
{
    kv registry = new_registry();
    CHECK(must(registry.incr("n")) == 1);
    CHECK(must(registry.incr("n", -5)) == -4);
    CHECK(must(registry.incr_float("n", 0.5)) == -3.5);
    CHECK(registry.incr("n").code() == ACERVO_INVALID);
}

void cas_stores_over_what_is_expected()
{
    kv registry = new_registry();
    CHECK(!must(registry.cas("k", 1, 2)));
    CHECK(must(registry.cas("k", std::nullopt, 1)));
    CHECK(!must(registry.cas("k", std::nullopt, 2)));
    CHECK(must(registry.cas("k", 1, nullptr)));
    CHECK(must(registry.cas("k", nullptr, "now")));
}

void update_changes_what_is_there()
{
    kv registry = new_registry();
    const auto add_one = [](const std::optional<stored> &current) -> std::optional<value> {
        return current.has_value() ? current->held.as<int>().value_or(0) + 1 : 1;
    };
    CHECK(must(registry.update("n", add_one)) == value(1));
    CHECK(must(registry.update("n", add_one)) == value(2));
    const auto remove = [](const std::optional<stored> &) -> std::optional<value> {
        return std::nullopt;
    };
    CHECK(!must(registry.update("n", remove)).has_value());
    CHECK(!must(registry.get("n")).has_value());
    CHECK(!must(registry.update("n", remove)).has_value());
    CHECK(must(registry.cas("n", std::nullopt, 5)));
    CHECK(!must(registry.cas_delete("n", 4)));
    CHECK(must(registry.cas_delete("n", 5)));
    CHECK(!must(registry.get("n")).has_value());
}

void update_gives_up_when_others_keep_writing()
{
    kv registry = new_registry();
    int rounds = 0;
    const auto updated = registry.update("n", [&](const std::optional<stored> &) {
        must(registry.put("n", ++rounds));
        return std::optional<value>(0);
    });
    CHECK(updated.code() == ACERVO_CONFLICT);
    CHECK(updated.error().retryable());
    CHECK_INT(rounds, 64);
}

void no_update_of_several_threads_is_lost()
{
    const auto db = must(database::open(":memory:"));
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&db] {
            kv registry = must(db.registry());
            for (int round = 0; round < 200; ++round) {
                const auto add_one = [](const std::optional<stored> &current) {
                    const int before =
                        current.has_value() ? current->held.as<int>().value_or(0) : 0;
                    return std::optional<value>(before + 1);
                };
                while (registry.update("n", add_one).code() == ACERVO_CONFLICT)
                    std::this_thread::yield();
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    CHECK(must(must(db.registry()).get_or("n", 0)) == 800);
}

void put_some(kv &registry)
{
    must(registry.put("cpu.1", 1));
    must(registry.put("cpu.0", 0));
    must(registry.put("disk", 9));
}

void keys_are_listed_counted_and_deleted_by_prefix()
{
    kv registry = new_registry();
    put_some(registry);
    CHECK((must(registry.keys()) == std::vector<std::string>{"cpu.0", "cpu.1", "disk"}));
    CHECK((must(registry.keys("cpu.")) == std::vector<std::string>{"cpu.0", "cpu.1"}));
    CHECK(must(registry.count()) == 3);
    CHECK(must(registry.count("cpu.")) == 2);
    CHECK(must(registry.remove_prefix("cpu.")) == 2);
    CHECK(must(registry.purge(1h)) == 0);
    CHECK(must(registry.count()) == 1);
}

void for_each_visits_keys_in_order()
{
    kv registry = new_registry();
    put_some(registry);
    std::string seen;
    std::optional<value> kept;
    const bool all = must(
        registry.for_each("cpu.", [&](std::string_view key, const value &held, std::int64_t when) {
            seen.append(key).append("=").append(*held.to_json()).append(" ");
            kept = held;
            CHECK(when > 0);
        }));
    CHECK(all);
    CHECK_TEXT(seen.c_str(), "cpu.0=0 cpu.1=1 ");
    CHECK(*kept == value(1));
}

void for_each_ends_when_it_is_told_to()
{
    kv registry = new_registry();
    put_some(registry);
    int visits = 0;
    const bool all = must(registry.for_each(
        "", [&](std::string_view, const value &, std::int64_t) { return ++visits < 2; }));
    CHECK(!all);
    CHECK_INT(visits, 2);
}

#ifdef ACERVOPP_EXCEPTIONS
void what_a_visit_throws_comes_out_of_for_each()
{
    kv registry = new_registry();
    put_some(registry);
    int visits = 0;
    bool caught = false;
    try {
        (void)registry.for_each("", [&](std::string_view, const value &, std::int64_t) {
            ++visits;
            throw 42;
        });
    } catch (int thrown) {
        caught = thrown == 42;
    }
    CHECK(caught);
    CHECK_INT(visits, 1);
}

void value_or_throw_carries_the_error()
{
    kv registry = new_registry();
    bool thrown = false;
    registry.put("k", 1).value_or_throw();
    try {
        registry.put("", 1).value_or_throw();
    } catch (const acervopp::exception &caught) {
        thrown = true;
        const acervopp::exception copy = caught;
        CHECK(copy.why().code() == ACERVO_INVALID);
        CHECK(copy.why().message() == copy.what());
    }
    CHECK(thrown);
}
#endif

void a_batch_is_made_as_a_whole()
{
    kv registry = new_registry();
    must(registry.put("old", 1));
    acervopp::batch batch = registry.new_batch();
    must(batch.put("a", 1));
    must(batch.put("b", "x", 1h));
    must(batch.remove("old"));
    CHECK(batch.put("", 1).code() == ACERVO_INVALID);
    CHECK(must(registry.count()) == 1);
    must(batch.commit());
    CHECK((must(registry.keys()) == std::vector<std::string>{"a", "b"}));
}

void namespaces_do_not_meet()
{
    const auto db = must(database::open(":memory:"));
    kv one = must(db.store("one")), two = must(db.store("two")), global = must(db.global());
    must(one.put("k", 1));
    must(two.put("k", 2));
    must(global.put("k", 3));
    CHECK(must(one.get_or("k", 0)) == 1);
    CHECK(must(two.get_or("k", 0)) == 2);
    CHECK(must(global.get_or("k", 0)) == 3);
    CHECK(must(global.get_or("one:k", 0)) == 1);
    // An empty ident is not the global keys, whatever its pointer is.
    CHECK(db.store({}).code() == ACERVO_INVALID);
    CHECK(db.store("").code() == ACERVO_INVALID);
}

void options_are_checked()
{
    const std::string path = scratch_path("options.db");
    CHECK(database::open(path, {{"no_such_option", 1}}).code() == ACERVO_INVALID);
    acervopp::options options;
    CHECK(options.set("durability", "fast").code() == ACERVO_INVALID);
    must(options.set("durability", "normal"));
    auto db = must(database::open(path, options));
    must(db.close());
}

void everything_is_there_again_after_a_restart()
{
    const std::string path = scratch_path("restart.db");
    {
        auto db = must(database::open(path, {{"flush_interval_ms", 600000}}));
        kv registry = must(db.registry());
        must(registry.put("k", value::array({1, "two"})));
        must(db.close());
    }
    const auto db = must(database::open(path));
    CHECK(must(must(db.registry()).get("k"))->held == value::array({1, "two"}));
}

void copies_of_a_database_share_its_end()
{
    auto first = must(database::open(":memory:"));
    auto second = first;
    kv registry = must(second.registry());
    must(first.close());
    must(second.close());
    const auto put = registry.put("k", 1);
    CHECK(put.code() == ACERVO_INTERNAL);
    CHECK(put.error().message().find("database is closed") != std::string_view::npos);
}

void a_child_keeps_its_parents_alive()
{
    kv registry = new_registry();
    acervopp::batch batch = new_registry().new_batch();
    must(registry.put("k", 1));
    must(batch.put("k", 1));
    must(batch.commit());
}

void a_moved_from_handle_gives_invalid()
{
    auto db = must(database::open(":memory:"));
    auto other = std::move(db);
    CHECK(db.flush().code() == ACERVO_INVALID);  // NOLINT: the moved-from state is promised
    kv registry = must(other.registry());
    kv taken = std::move(registry);
    CHECK(registry.put("k", 1).code() == ACERVO_INVALID);  // NOLINT
    must(taken.put("k", 1));
}

void the_log_function_is_destroyed_with_its_captures()
{
    auto alive = std::make_shared<int>(0);
    auto db = must(database::open(":memory:"));
    must(db.set_log([alive](acervopp::log_level, std::string_view) { ++*alive; }));
    CHECK(alive.use_count() == 2);
    must(db.set_log([](acervopp::log_level, std::string_view) {}));
    CHECK(alive.use_count() == 1);
    must(db.set_log([alive](acervopp::log_level, std::string_view) {}));
    must(db.set_log(nullptr));
    CHECK(alive.use_count() == 1);
    must(db.close());
    CHECK(db.set_log([alive](acervopp::log_level, std::string_view) {}).code() ==
          ACERVO_INTERNAL);
    CHECK(alive.use_count() == 1);
}

void stats_are_a_map()
{
    const auto db = must(database::open(":memory:"));
    must(must(db.registry()).put("k", 1));
    CHECK(must(must(db.stats()).at("keys")).as<int>().value_or(0) == 1);
}

void a_database_is_checked_and_copied()
{
    const std::string path = scratch_path("original.db"), to = scratch_path("copied.db");
    auto db = must(database::open(path));
    must(must(db.store("ident")).put("k", 1));
    CHECK(must(must(db.check()).at("ok")).as<bool>().value_or(false));
    must(db.backup(to));
    CHECK(db.backup(to).code() == ACERVO_ALREADY_EXISTS);
    auto copy = must(database::open(to));
    const auto found = must(must(copy.store("ident")).get("k"));
    CHECK(found.has_value() && found->held.as<int>().value_or(0) == 1);
}

void the_version_is_that_of_the_header() { CHECK(acervopp::version() == ACERVO_VERSION_STRING); }

}  // namespace

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(a_put_is_read_back),
        TEST(a_missing_key_is_no_error_and_a_stored_nil_is_not_missing),
        TEST(get_or_gives_the_fallback_for_a_missing_key_only),
        TEST(bad_keys_and_values_are_invalid),
        TEST(a_ttl_is_any_duration),
        TEST(numbers_are_added_to),
        TEST(cas_stores_over_what_is_expected),
        TEST(update_changes_what_is_there),
        TEST(update_gives_up_when_others_keep_writing),
        TEST(no_update_of_several_threads_is_lost),
        TEST(keys_are_listed_counted_and_deleted_by_prefix),
        TEST(for_each_visits_keys_in_order),
        TEST(for_each_ends_when_it_is_told_to),
#ifdef ACERVOPP_EXCEPTIONS
        TEST(what_a_visit_throws_comes_out_of_for_each),
        TEST(value_or_throw_carries_the_error),
#endif
        TEST(a_batch_is_made_as_a_whole),
        TEST(namespaces_do_not_meet),
        TEST(options_are_checked),
        TEST(everything_is_there_again_after_a_restart),
        TEST(copies_of_a_database_share_its_end),
        TEST(a_child_keeps_its_parents_alive),
        TEST(a_moved_from_handle_gives_invalid),
        TEST(the_log_function_is_destroyed_with_its_captures),
        TEST(stats_are_a_map),
        TEST(a_database_is_checked_and_copied),
        TEST(the_version_is_that_of_the_header),
    };
    return RUN_TESTS(cases, argc, argv);
}
