// The entry registry of the C++ layer.
#include "acervo.hpp"
#include "check.h"

#include <algorithm>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using acervopp::changes;
using acervopp::database;
using acervopp::entry;
using acervopp::entry_list;
using acervopp::entry_registry;
using acervopp::operation;
using acervopp::snapshot;
using acervopp::value;
using acervopp::version_info;

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

entry_registry new_registry() { return must(database::open(":memory:")).entries(); }

changes new_changes(const entry_registry &registry)
{
    return must(registry.snapshot()).new_changes();
}

std::uint64_t create(entry_registry &registry, std::string_view id, const value &data,
                     std::string_view kind = "test")
{
    changes queued = new_changes(registry);
    must(queued.create(must(entry::make(id, kind, std::nullopt, data))));
    return must(queued.apply());
}

std::string ids_of(const entry_list &list)
{
    std::string ids;
    for (const entry &one : list)
        ids.append(ids.empty() ? "" : " ").append(one.id());
    return ids;
}

std::string ids_of(const entry_registry &registry)
{
    return ids_of(must(must(registry.snapshot()).entries()));
}

bool says(const acervopp::error &why, std::string_view part)
{
    return why.message().find(part) != std::string_view::npos;
}

void an_entry_has_the_parts_it_was_made_of()
{
    const entry made = must(entry::make("app.lib:assert:x", "function.lua",
                                        value::map({{"type", "test"}}), value::array({1, 2})));
    CHECK(made.id() == "app.lib:assert:x");
    CHECK(made.ns() == "app.lib");
    CHECK(made.name() == "assert:x");
    CHECK(made.kind() == "function.lua");
    CHECK(made.meta() == value::map({{"type", "test"}}));
    CHECK(made.data() == value::array({1, 2}));
    CHECK(must(made.meta().at("type")).as<std::string>().value_or("") == "test");
}

void meta_is_empty_and_data_absent_where_none_is_given()
{
    const entry bare = must(entry::make("name", "test"));
    CHECK(bare.id() == ":name");
    CHECK(bare.ns().empty());
    CHECK(bare.name() == "name");
    CHECK(bare.meta() == value::map({}));
    CHECK(!bare.data().has_value());
    CHECK(!must(entry::make("name", "test", {}, nullptr)).data().has_value());
    CHECK(must(entry::make("name", "test", {}, false)).data() == value(false));
}

void what_is_no_entry_is_invalid()
{
    CHECK(entry::make("", "test").code() == ACERVO_INVALID);
    CHECK(entry::make({}, "test").code() == ACERVO_INVALID);
    CHECK(entry::make("ns:", "test").code() == ACERVO_INVALID);
    CHECK(entry::make("a:b", "").code() == ACERVO_INVALID);
    CHECK(entry::make("a:b", "test", value::array({1})).code() == ACERVO_INVALID);
    CHECK(entry::make("a:b", "test", nullptr).code() == ACERVO_INVALID);
    // No value at all is not the same as no meta.
    CHECK(entry::make("a:b", "test", value::adopt(nullptr)).code() == ACERVO_INVALID);
    CHECK(entry::make("a:b", "test", {}, value::adopt(nullptr)).code() == ACERVO_INVALID);
    const auto named = entry::make("a:\n", "test");
    CHECK(says(named.error(), "control"));
}

void entries_compare_by_what_they_hold()
{
    const entry one = must(entry::make("a:b", "test", value::map({{"x", 1}}), 2));
    CHECK(one == must(entry::make("a:b", "test", value::map({{"x", 1.0}}), 2)));
    CHECK(one != must(entry::make("a:c", "test", value::map({{"x", 1}}), 2)));
    CHECK(one != must(entry::make("a:b", "other", value::map({{"x", 1}}), 2)));
    CHECK(one != must(entry::make("a:b", "test", value::map({{"x", 2}}), 2)));
    CHECK(one != must(entry::make("a:b", "test", value::map({{"x", 1}}))));
    CHECK(entry::adopt(nullptr) != entry::adopt(nullptr));
}

void entries_are_shared_with_c_and_back()
{
    acervo_entry *raw = must(entry::make("a:b", "test", {}, 1)).release();
    entry shared = entry::share(raw);
    const entry copy = shared;
    acervo_entry_free(raw);
    CHECK(copy.c_handle() == shared.c_handle());
    const entry moved = std::move(shared);
    CHECK(!shared.valid());  // NOLINT: the moved-from state is promised
    CHECK(shared.id().empty() && shared.ns().empty() && shared.name().empty());
    CHECK(shared.kind().empty());
    CHECK(!shared.meta().valid());
    CHECK(!shared.data().has_value());
    CHECK(moved.id() == "a:b");
    CHECK(moved.data() == value(1));
}

void a_snapshot_has_what_there_was()
{
    entry_registry registry = new_registry();
    create(registry, "b:x", 1);
    create(registry, "a:y", 2);
    const snapshot before = must(registry.snapshot());
    create(registry, "a:x", 3);
    CHECK(before.version() == 2);
    CHECK(before.size() == 2);
    CHECK(ids_of(must(before.entries())) == "a:y b:x");
    CHECK(ids_of(must(before.in_namespace("a"))) == "a:y");
    CHECK(must(before.in_namespace("c")).empty());
    CHECK(must(before.in_namespace({})).empty());
    CHECK(must(before.get("b:x"))->data() == value(1));
    CHECK(must(before.contains("b:x")));
    CHECK(!must(before.contains("a:x")));
    CHECK(!must(before.get("a:x")).has_value());
    CHECK(!must(before.get({})).has_value());
    CHECK(ids_of(registry) == "a:x a:y b:x");
    CHECK(must(registry.snapshot_at(1)).size() == 1);
    CHECK(must(registry.snapshot_at(0)).size() == 0);
}

void lists_are_ranges()
{
    entry_registry registry = new_registry();
    create(registry, "a:x", 1);
    create(registry, "a:y", 2);
    const entry_list list = must(must(registry.snapshot()).entries());
    CHECK(list.size() == 2 && !list.empty());
    CHECK(list[1].id() == "a:y");
    CHECK(!list[2].valid());
    CHECK(std::distance(list.begin(), list.end()) == 2);
    const auto found = std::find_if(list.begin(), list.end(),
                                    [](const entry &one) { return one.data() == value(2); });
    CHECK(found != list.end());
    CHECK((*found).name() == "y");
}

void what_comes_from_a_database_outlives_it()
{
    auto db = must(database::open(":memory:"));
    entry_registry registry = db.entries();
    create(registry, "a:x", "text");
    const snapshot now = must(registry.snapshot());
    const entry_list list = must(now.entries());
    const entry one = list[0];
    must(db.close());
    CHECK(must(now.get("a:x"))->data() == value("text"));
    CHECK(ids_of(list) == "a:x");
    CHECK(one.data() == value("text"));
    const auto after = registry.snapshot();
    CHECK(after.code() == ACERVO_INTERNAL);
    CHECK(says(after.error(), "database is closed"));
}

void a_search_that_is_no_map_is_invalid()
{
    const snapshot now = must(new_registry().snapshot());
    CHECK(now.find(value::adopt(nullptr)).code() == ACERVO_INVALID);
    acervopp::page part;
    part.offset = std::uint64_t{1} << 63U;
    const auto refused = now.find(value::map({}), part);
    CHECK(refused.code() == ACERVO_INVALID);
    CHECK(says(refused.error(), "limit or offset"));
    CHECK(must(now.find(value::map({}))).empty());
}

void conditions_find_entries_page_by_page()
{
    entry_registry registry = new_registry();
    create(registry, "a:x", value::map({{"path", "/api/x"}}), "http.endpoint");
    create(registry, "a:y", value::map({{"path", "/y"}}), "http.endpoint");
    create(registry, "a:z", 1, "tool");
    const snapshot now = must(registry.snapshot());
    CHECK(ids_of(must(now.find(value::map({{".kind", "http.*"}})))) == "a:x a:y");
    CHECK(ids_of(must(now.find(value::map({{"^data.path", "/api"}})))) == "a:x");
    acervopp::page part;
    part.limit = 1;
    CHECK(ids_of(must(now.find(value::map({{".kind", "http.*"}}), part))) == "a:x");
    part.offset = 1;
    CHECK(ids_of(must(now.find(value::map({{".kind", "http.*"}}), part))) == "a:y");
    const auto refused = now.find(value::map({{".colour", "red"}}));
    CHECK(refused.code() == ACERVO_INVALID);
    CHECK(says(refused.error(), ".colour"));
}

void changes_are_made_together()
{
    entry_registry registry = new_registry();
    create(registry, "a:gone", 1);
    create(registry, "a:kept", 1);
    changes queued = new_changes(registry);
    must(queued.create(must(entry::make("a:new", "test"))));
    must(queued.update(must(entry::make("a:kept", "test", {}, 2))));
    must(queued.remove("a:gone"));
    CHECK(ids_of(registry) == "a:gone a:kept");
    CHECK(must(queued.apply()) == 3);
    CHECK(ids_of(registry) == "a:kept a:new");
    CHECK(must(registry.current_version()) == 3);
    CHECK(queued.remove("a:new").code() == ACERVO_INVALID);
    CHECK(queued.apply().code() == ACERVO_INVALID);
    CHECK(must(queued.ops()).size() == 3);
}

void ops_and_plans_tell_what_is_done()
{
    entry_registry registry = new_registry();
    create(registry, "a:x", 1);
    changes queued = new_changes(registry);
    must(queued.create(must(entry::make("a:y", "test"))));
    must(queued.update(must(entry::make("a:y", "test", {}, 2))));
    must(queued.remove("a:x"));
    const std::vector<operation> ops = must(queued.ops());
    CHECK(ops.size() == 3);
    CHECK(ops[0].kind == "entry.create" && ops[0].id == "a:y");
    CHECK(ops[1].kind == "entry.update");
    CHECK(ops[2].kind == "entry.delete" && ops[2].entry == value::map({{"id", "a:x"}}));
    CHECK(!ops[2].original.has_value());
    const std::vector<operation> plan = must(queued.plan());
    CHECK(plan.size() == 2);
    CHECK(plan[0].kind == "entry.delete" && plan[0].id == "a:x");
    CHECK(plan[0].original.has_value());
    CHECK(must(plan[0].original->at("data")) == value(1));
    CHECK(plan[1].kind == "entry.create" && plan[1].id == "a:y");
    CHECK(must(plan[1].entry.at("data")) == value(2));
    CHECK(must(registry.current_version()) == 1);
}

void options_go_with_the_apply()
{
    entry_registry registry = new_registry();
    changes queued = new_changes(registry);
    must(queued.create(must(entry::make("a:x", "test"))));
    must(queued.set("dry_run", true));
    CHECK(must(queued.apply()) == 0);
    must(queued.set("dry_run", nullptr));
    CHECK(queued.apply({{"colour", "red"}}).code() == ACERVO_INVALID);
    CHECK(must(registry.current_version()) == 0);
    CHECK(must(queued.apply({{"author", "ana"}, {"message", "first"}})) == 1);
    const version_info info = must(registry.info(1));
    CHECK(info.author == "ana");
    CHECK(info.message == "first");
}

void a_conflict_names_what_changed_and_can_be_tried_again()
{
    entry_registry registry = new_registry();
    create(registry, "a:x", 1);
    changes queued = new_changes(registry);
    must(queued.update(must(entry::make("a:x", "test", {}, 3))));
    std::thread([&registry] {
        changes others = new_changes(registry);
        must(others.update(must(entry::make("a:x", "test", {}, 2))));
        must(others.apply());
    }).join();
    const auto refused = queued.apply({{"base", "disjoint"}});
    CHECK(refused.code() == ACERVO_CONFLICT);
    CHECK(refused.error().retryable());
    CHECK(refused.error().details()->at("ids").value_or(value()) == value::array({"a:x"}));
    must(queued.set("base", nullptr));
    CHECK(must(queued.apply()) == 3);
}

void the_first_fault_is_told_by_its_code()
{
    entry_registry registry = new_registry();
    create(registry, "a:x", 1);
    changes queued = new_changes(registry);
    CHECK(queued.apply().code() == ACERVO_INVALID);
    must(queued.create(must(entry::make("a:x", "test"))));
    CHECK(queued.apply().code() == ACERVO_ALREADY_EXISTS);
    changes missing = new_changes(registry);
    must(missing.remove("a:none"));
    CHECK(missing.plan().code() == ACERVO_NOT_FOUND);
    CHECK(missing.apply().code() == ACERVO_NOT_FOUND);
}

void versions_know_where_they_come_from()
{
    entry_registry registry = new_registry();
    create(registry, "a:x", 1);
    create(registry, "a:y", 2);
    must(registry.apply_version(1));
    CHECK(ids_of(registry) == "a:x");
    CHECK(create(registry, "a:z", 3) == 3);
    const std::vector<version_info> versions = must(registry.versions());
    CHECK(versions.size() == 4);
    CHECK(versions[0].id == 0 && !versions[0].parent.has_value());
    CHECK(versions[2].id == 2 && versions[2].parent == 1U);
    CHECK(versions[3].id == 3 && versions[3].parent == 1U);
    CHECK(versions[3].time.has_value() && *versions[3].time > 1600000000);
    CHECK(!versions[3].author.has_value() && !versions[3].message.has_value());
    CHECK(must(registry.previous(3)) == 1U);
    CHECK(!must(registry.previous(0)).has_value());
    CHECK(must(registry.next(1)) == 3U);
    CHECK(!must(registry.next(2)).has_value());
    CHECK(registry.next(9).code() == ACERVO_NOT_FOUND);
}

void pruned_versions_are_not_found()
{
    entry_registry registry = new_registry();
    create(registry, "a:x", 1);
    create(registry, "a:y", 2);
    CHECK(registry.prune(9).code() == ACERVO_NOT_FOUND);
    must(registry.prune(2));
    CHECK(must(registry.info(2)).parent == 0U);
    const auto pruned = registry.snapshot_at(1);
    CHECK(pruned.code() == ACERVO_NOT_FOUND);
    CHECK(says(pruned.error(), "pruned"));
    CHECK(registry.apply_version(1).code() == ACERVO_NOT_FOUND);
    CHECK(registry.info(1).code() == ACERVO_NOT_FOUND);
}

void without_a_history_versions_are_unavailable()
{
    const auto db = must(database::open(":memory:", {{"history", "none"}}));
    entry_registry registry = db.entries();
    CHECK(create(registry, "a:x", 1) == 1);
    CHECK(registry.versions().code() == ACERVO_UNAVAILABLE);
}

void entries_are_there_again_after_a_restart()
{
    const std::string path = scratch_path("restart.db");
    {
        auto db = must(database::open(path));
        entry_registry registry = db.entries();
        create(registry, "a:x", value::array({1, "two"}));
        must(db.close());
    }
    const auto db = must(database::open(path));
    CHECK(must(must(db.entries().snapshot()).get("a:x"))->data() == value::array({1, "two"}));
}

void a_delta_leads_from_one_list_to_another()
{
    const entry_registry registry = new_registry();
    const entry same = must(entry::make("a:same", "test"));
    const entry gone = must(entry::make("a:gone", "test", {}, 1));
    const entry added = must(entry::make("a:added", "test"));
    const std::vector<operation> ops = must(registry.build_delta({same, gone}, {added, same}));
    CHECK(ops.size() == 2);
    CHECK(ops[0].kind == "entry.delete" && ops[0].id == "a:gone");
    CHECK(ops[0].original.has_value());
    CHECK(ops[1].kind == "entry.create" && ops[1].id == "a:added");
    CHECK(!ops[1].original.has_value());
    CHECK(must(registry.build_delta({}, {})).empty());
    const auto twice = registry.build_delta({same, same}, {});
    CHECK(twice.code() == ACERVO_INVALID);
    CHECK(says(twice.error(), "from[2]"));
    CHECK(registry.build_delta({}, {entry::adopt(nullptr)}).code() == ACERVO_INVALID);
}

void dependencies_are_read_from_patterns()
{
    using ids = std::vector<std::string>;
    entry_registry registry = new_registry();
    changes queued = new_changes(registry);
    const value on_db = value::map({{"depends_on", "app:db"}});
    must(queued.create(must(entry::make("app:web", "service", on_db))));
    must(queued.create(must(entry::make("app:db", "service", value::map({{"server", "one"}})))));
    must(queued.create(must(entry::make("app:one", "server"))));
    must(queued.apply());
    CHECK(must(registry.dependents("app:db")) == ids{"app:web"});
    CHECK(must(registry.dependencies("app:web", true)) == ids{"app:db"});
    must(registry.register_pattern("meta.server"));
    CHECK((must(registry.dependencies("app:web", true)) == ids{"app:db", "app:one"}));
    CHECK((must(registry.dependents("app:one", true)) == ids{"app:db", "app:web"}));
    CHECK(must(registry.dependents("app:one")) == ids{"app:db"});
    CHECK(registry.register_pattern("").code() == ACERVO_INVALID);
    CHECK(registry.dependents("app:none").code() == ACERVO_NOT_FOUND);
}

void children_keep_their_parents_alive()
{
    changes queued = new_changes(new_registry());
    must(queued.create(must(entry::make("a:x", "test"))));
    CHECK(must(queued.apply()) == 1);
}

void moved_from_handles_give_invalid()
{
    static_assert(!std::is_copy_constructible_v<changes>);
    static_assert(!std::is_copy_constructible_v<entry_list>);
    entry_registry registry = new_registry();
    const entry_registry copy = registry;
    entry_registry taken = std::move(registry);
    CHECK(registry.snapshot().code() == ACERVO_INVALID);  // NOLINT: promised
    CHECK(must(copy.current_version()) == 0);
    snapshot now = must(taken.snapshot());
    const snapshot other = std::move(now);
    CHECK(now.entries().code() == ACERVO_INVALID);  // NOLINT
    CHECK(now.new_changes().apply().code() == ACERVO_INVALID);
    CHECK(now.size() == 0 && now.version() == 0);
    changes queued = other.new_changes();
    changes moved = std::move(queued);
    CHECK(queued.remove("a:x").code() == ACERVO_INVALID);  // NOLINT
    must(moved.remove("a:x"));
}

#ifdef ACERVOPP_EXCEPTIONS
void value_or_throw_carries_code_and_message()
{
    entry_registry registry = new_registry();
    bool thrown = false;
    try {
        new_changes(registry).apply().value_or_throw();
    } catch (const acervopp::exception &caught) {
        thrown = true;
        CHECK(caught.why().code() == ACERVO_INVALID);
        CHECK(says(caught.why(), "no changes to apply"));
    }
    CHECK(thrown);
}
#endif

}  // namespace

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(an_entry_has_the_parts_it_was_made_of),
        TEST(meta_is_empty_and_data_absent_where_none_is_given),
        TEST(what_is_no_entry_is_invalid),
        TEST(entries_compare_by_what_they_hold),
        TEST(entries_are_shared_with_c_and_back),
        TEST(a_snapshot_has_what_there_was),
        TEST(lists_are_ranges),
        TEST(what_comes_from_a_database_outlives_it),
        TEST(changes_are_made_together),
        TEST(ops_and_plans_tell_what_is_done),
        TEST(options_go_with_the_apply),
        TEST(a_conflict_names_what_changed_and_can_be_tried_again),
        TEST(the_first_fault_is_told_by_its_code),
        TEST(versions_know_where_they_come_from),
        TEST(pruned_versions_are_not_found),
        TEST(without_a_history_versions_are_unavailable),
        TEST(entries_are_there_again_after_a_restart),
        TEST(a_delta_leads_from_one_list_to_another),
        TEST(dependencies_are_read_from_patterns),
        TEST(children_keep_their_parents_alive),
        TEST(moved_from_handles_give_invalid),
#ifdef ACERVOPP_EXCEPTIONS
        TEST(value_or_throw_carries_code_and_message),
#endif
        TEST(a_search_that_is_no_map_is_invalid),
        TEST(conditions_find_entries_page_by_page),
    };
    return RUN_TESTS(cases, argc, argv);
}
