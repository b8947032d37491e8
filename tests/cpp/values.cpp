// Values of the C++ layer: conversions both ways, parts, iteration, forms.
#include "acervo.hpp"
#include "check.h"

#include <array>
#include <cmath>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

using acervopp::type;
using acervopp::value;

namespace {

std::string text_of(const value &held) { return held.to_json().value_or(std::string("(no JSON)")); }

void cpp_values_become_values_of_their_type()
{
    CHECK(value().is_nil());
    CHECK(value(nullptr).is_nil());
    CHECK(value(std::nullopt).is_nil());
    CHECK(value(true).is_bool());
    CHECK(value(1).is_int());
    CHECK(value(short{1}).is_int());
    CHECK(value(std::uint8_t{1}).is_int());
    CHECK(value(1L).is_int());
    CHECK(value(1ULL).is_int());
    CHECK(value(0).is_int());
    CHECK(value(1.0).is_float());
    CHECK(value(1.0f).is_float());
    CHECK(value("text").is_string());
    CHECK(value(std::string("text")).is_string());
    CHECK(value(std::string_view("text")).is_string());
    CHECK(value(std::vector<int>{1}).is_array());
    CHECK(value(std::vector<int>{}).is_array());
    CHECK(value(std::array<double, 2>{1, 2}).is_array());
    CHECK(value(std::list<std::string>{"a"}).is_array());
    CHECK(value(std::map<std::string, int>{{"a", 1}}).is_map());
    CHECK(value(std::unordered_map<int, bool>{}).is_map());
    CHECK(value(std::optional<int>(3)).is_int());
    CHECK(value(std::optional<int>()).is_nil());
}

void nested_containers_become_nested_values()
{
    const std::map<std::string, std::vector<std::optional<int>>> nested = {
        {"a", {1, std::nullopt}}, {"b", {}}};
    CHECK_TEXT(text_of(nested).c_str(), "{\"a\":[1,null],\"b\":[]}");
    CHECK_TEXT(text_of(std::vector<bool>{true, false}).c_str(), "[true,false]");
}

void lists_in_braces_become_arrays_and_maps()
{
    const value made = value::map({
        {"timeout", 30},
        {"ratio", 2.5},
        {"servers", value::array({"a", "b", nullptr, true})},
        {"limits", value::map({{"cpu", 80}})},
        {"empty", value::array({})},
        {7, "seven"},
    });
    CHECK_INT(made.size(), 6);
    CHECK_TEXT(text_of(made).c_str(),
               "{\"7\":\"seven\",\"empty\":[],\"limits\":{\"cpu\":80},\"ratio\":2.5,"
               "\"servers\":[\"a\",\"b\",null,true],\"timeout\":30}");
}

void integers_that_do_not_fit_are_invalid()
{
    CHECK(value(std::numeric_limits<std::int64_t>::max()).valid());
    CHECK(value(std::numeric_limits<std::int64_t>::min()).valid());
    const value too_big(std::numeric_limits<std::uint64_t>::max());
    CHECK(!too_big.valid());
    CHECK(too_big.type() == type::invalid);
    CHECK(!value::array({1, too_big}).valid());
    CHECK(!(too_big == too_big));
}

void what_cannot_be_made_tells_why()
{
    const std::vector<std::pair<value, value>> twice = {{1, "a"}, {1.0, "b"}};
    CHECK(value::try_map(twice.begin(), twice.end()).code() == ACERVO_INVALID);
    const std::vector<value> bad = {value(std::numeric_limits<std::uint64_t>::max())};
    auto made = value::try_array(bad.begin(), bad.end());
    CHECK(!made);
    CHECK(made.error().code() == ACERVO_INVALID);
    CHECK(made.error().kind() == "Invalid");
    CHECK(!made.error().message().empty());
    CHECK(!made.error().retryable());
    CHECK(acervopp::error(ACERVO_TIMEOUT).retryable());
    CHECK(acervopp::error(ACERVO_UNAVAILABLE).retryable());
    CHECK(!acervopp::error(ACERVO_INVALID).retryable());
    CHECK(!value(1e300).as<float>());
    CHECK(!value(16777217).as<float>());
    CHECK(value(0.5).as<float>().value_or(0) == 0.5F);
}

void values_come_back_as_cpp_types()
{
    CHECK(value(true).as<bool>().value_or(false));
    CHECK(value(7).as<int>().value_or(0) == 7);
    CHECK(value(7.0).as<std::uint8_t>().value_or(0) == 7);
    CHECK(value(7).as<double>().value_or(0) == 7.0);
    CHECK(value("text").as<std::string>().value_or("") == "text");
    const value text("text");
    CHECK(*text.as_string() == "text");
    CHECK(!value().as<std::optional<int>>().value_or(5).has_value());
    CHECK(value(3).as<std::optional<int>>().value_or(std::nullopt) == 3);
    const auto list = value::array({1, 2, 3}).as<std::vector<long>>();
    CHECK(list && *list == (std::vector<long>{1, 2, 3}));
    const auto deque = value::array({"a"}).as<std::deque<std::string>>();
    CHECK(deque && deque->front() == "a");
    const auto map = value::map({{"a", value::array({1})}})
                         .as<std::map<std::string, std::vector<int>>>();
    CHECK(map && map->at("a").front() == 1);
    CHECK(value(1.5).as<value>()->is_float());
}

void what_does_not_fit_is_invalid()
{
    CHECK(value(256).as<std::uint8_t>().code() == ACERVO_INVALID);
    CHECK(value(-1).as<unsigned>().code() == ACERVO_INVALID);
    CHECK(value(-1).as<std::uint64_t>().code() == ACERVO_INVALID);
    CHECK(value(1.5).as<int>().code() == ACERVO_INVALID);
    CHECK(value("7").as<int>().code() == ACERVO_INVALID);
    CHECK(value(7).as<std::string>().code() == ACERVO_INVALID);
    CHECK(value(7).as<std::vector<int>>().code() == ACERVO_INVALID);
    CHECK(value::array({1, "two"}).as<std::vector<int>>().code() == ACERVO_INVALID);
    CHECK((value::map({{1, 1}}).as<std::map<std::string, int>>().code()) == ACERVO_INVALID);
}

void parts_are_found_by_index_and_by_key()
{
    const value made = value::map({{"list", value::array({10, 20})}});
    CHECK(made.at("list")->at(1)->as<int>().value_or(0) == 20);
    CHECK(made.at(std::string("list"))->at(0)->as<int>().value_or(0) == 10);
    CHECK(made.at("other").code() == ACERVO_NOT_FOUND);
    CHECK(made.at("list")->at(2).code() == ACERVO_NOT_FOUND);
    CHECK(made.at("list")->at(-1).code() == ACERVO_NOT_FOUND);
    CHECK(made.at(0).code() == ACERVO_INVALID);
    CHECK(made.entry_at(0)->first == value("list"));
}

void arrays_and_maps_are_walked()
{
    std::int64_t sum = 0;
    for (const value &item : value::array({1, 2, 3}).items())
        sum += item.as_int().value_or(100);
    CHECK_INT(sum, 6);
    std::map<std::string, int> seen;
    for (const auto &[key, held] : value::map({{"a", 1}, {"b", 2}}).entries())
        seen[key.as<std::string>().value_or("?")] = held.as<int>().value_or(0);
    CHECK((seen == std::map<std::string, int>{{"a", 1}, {"b", 2}}));
    for (const value &item : value(7).items())
        CHECK(!item.valid());
    for (const auto &[key, held] : value::array({1}).entries())
        CHECK(!key.valid() && !held.valid());
}

void copies_share_and_moves_leave_nothing()
{
    value first = value::array({1, 2});
    value second = first;
    CHECK(first == second && first.c_handle() == second.c_handle());
    value third = std::move(first);
    CHECK(!first.valid() && third == second);  // NOLINT: the moved-from state is promised
    first = third;
    CHECK(first == third);
    first = 5;
    CHECK(first == value(5) && third.is_array());
}

void equality_is_that_of_the_library()
{
    CHECK(value(3) == value(3.0));
    CHECK(value(std::nan("")) == value(std::nan("")));
    CHECK(value(nullptr) != value(false));
    CHECK((value::map({{"a", 1}, {"b", 2}}) == value::map({{"b", 2.0}, {"a", 1}})));
}

void json_and_msgpack_go_both_ways()
{
    const auto made = value::from_json("{\"a\":[1,2.0,null,\"\\u00e9\"]}");
    CHECK(made);
    CHECK_TEXT(text_of(*made).c_str(), "{\"a\":[1,2.0,null,\"\xc3\xa9\"]}");
    const auto packed = made->msgpack();
    CHECK(packed && packed->size > 0);
    const auto back = value::from_msgpack(*packed);
    CHECK(back && *back == *made);
    CHECK(value::from_json("[1,").code() == ACERVO_INVALID);
    CHECK(value::from_json({}).code() == ACERVO_INVALID);
    CHECK(value::from_msgpack(nullptr, 0).code() == ACERVO_INVALID);
    CHECK(value(std::nan("")).to_json().code() == ACERVO_INVALID);
}

void values_cross_to_c_and_back()
{
    acervo_value *owned = acervo_value_int(5);
    const value shared = value::share(owned);
    const value adopted = value::adopt(owned);
    CHECK(shared == adopted);
    value given(6);
    acervo_value_free(given.release());
    CHECK(!given.valid());
}

void bytes_of_any_content_are_a_text()
{
    const std::string bytes("a\0\xff", 3);
    CHECK(value(bytes).as<std::string>().value_or("") == bytes);
    CHECK(value(std::string_view()).as<std::string>().value_or("x").empty());
}

#ifdef ACERVOPP_EXCEPTIONS
void value_or_throw_gives_the_value_or_throws_the_error()
{
    CHECK(value(7).as<int>().value_or_throw() == 7);
    bool thrown = false;
    try {
        (void)value("7").as<int>().value_or_throw();
    } catch (const std::exception &caught) {
        thrown = true;
        CHECK(caught.what()[0] != '\0');
    }
    CHECK(thrown);
}
#endif

}  // namespace

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(cpp_values_become_values_of_their_type),
        TEST(nested_containers_become_nested_values),
        TEST(lists_in_braces_become_arrays_and_maps),
        TEST(integers_that_do_not_fit_are_invalid),
        TEST(what_cannot_be_made_tells_why),
        TEST(values_come_back_as_cpp_types),
        TEST(what_does_not_fit_is_invalid),
        TEST(parts_are_found_by_index_and_by_key),
        TEST(arrays_and_maps_are_walked),
        TEST(copies_share_and_moves_leave_nothing),
        TEST(equality_is_that_of_the_library),
        TEST(json_and_msgpack_go_both_ways),
        TEST(values_cross_to_c_and_back),
        TEST(bytes_of_any_content_are_a_text),
#ifdef ACERVOPP_EXCEPTIONS
        TEST(value_or_throw_gives_the_value_or_throws_the_error),
#endif
    };
    return RUN_TESTS(cases, argc, argv);
}
