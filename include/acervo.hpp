/**
 * acervo.hpp: the C++17 layer of acervo, header only.
 *
 * Everything here owns what the C functions of acervo.h hand out and gives it
 * back by itself. Nothing throws: a call that can fail returns a result<T>,
 * which is a T or an error. The header works with -fno-exceptions and
 * -fno-rtti; where exceptions are on, result<T>::value_or_throw() turns an
 * error into one.
 *
 * The namespace is `acervopp`, because acervo.h gives the name `acervo` to the
 * C type of a database, and C++ allows no namespace beside a type of its name.
 *
 * Ownership: every class here owns its handle; texts and bytes that come out as
 * std::string_view or byte_view are borrowed, each says from what. Inputs are
 * copied by the library before the call returns.
 *
 * Threads: as in acervo.h. database, kv, entry_registry, snapshot, entry,
 * entry_list, op, value and error may be used from any thread (as with a
 * shared_ptr, one C++ object must not be assigned to while another thread reads
 * it); options, batch, changes, subscription and feed from one at a time.
 *
 * A moved-from object holds no handle: its calls give ACERVO_INVALID.
 */
#ifndef ACERVO_HPP
#define ACERVO_HPP

#include "acervo.h"

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
#define ACERVOPP_EXCEPTIONS 1
#include <exception>
#endif

namespace acervopp {

class value;
class kv;
template <class T>
class result;

namespace detail {

/// Owns a C handle that is not shared.
template <class T, void (*Free)(T *)>
class unique_handle {
public:
    unique_handle() noexcept = default;
    explicit unique_handle(T *raw) noexcept : raw_(raw) {}
    unique_handle(unique_handle &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    unique_handle &operator=(unique_handle &&other) noexcept
    {
        if (this != &other) {
            Free(raw_);
            raw_ = std::exchange(other.raw_, nullptr);
        }
        return *this;
    }
    unique_handle(const unique_handle &) = delete;
    unique_handle &operator=(const unique_handle &) = delete;
    ~unique_handle() { Free(raw_); }

    T *get() const noexcept { return raw_; }
    T *release() noexcept { return std::exchange(raw_, nullptr); }

private:
    T *raw_ = nullptr;
};

/// Owns one reference to a C handle that is shared; copies have their own.
template <class T, auto Retain, void (*Free)(T *)>
class shared_handle {
public:
    explicit shared_handle(T *raw) noexcept : raw_(raw) {}
    shared_handle(const shared_handle &other) noexcept : raw_(Retain(other.raw_)) {}
    shared_handle(shared_handle &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    shared_handle &operator=(shared_handle other) noexcept
    {
        std::swap(raw_, other.raw_);
        return *this;
    }
    ~shared_handle() { Free(raw_); }

    T *get() const noexcept { return raw_; }
    T *release() noexcept { return std::exchange(raw_, nullptr); }

private:
    T *raw_;
};

/// An empty view may have a null pointer, which the C functions read as "none"
/// where that is allowed. An empty text is not none.
inline const char *data_of(std::string_view text) noexcept
{
    return text.data() != nullptr ? text.data() : "";
}

template <class T, class = void>
struct is_range : std::false_type {};
template <class T>
struct is_range<T, std::void_t<decltype(std::begin(std::declval<const T &>())),
                               decltype(std::end(std::declval<const T &>()))>> : std::true_type {
};

template <class T, class = void>
struct is_map : std::false_type {};
template <class T>
struct is_map<T, std::void_t<typename T::key_type, typename T::mapped_type>> : is_range<T> {};

template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};

template <class T>
struct is_text : std::is_convertible<const T &, std::string_view> {};

template <class T>
struct is_character
    : std::disjunction<std::is_same<T, char>, std::is_same<T, wchar_t>,
                       std::is_same<T, char16_t>, std::is_same<T, char32_t>> {};

template <class T>
struct is_plain_integer
    : std::conjunction<std::is_integral<T>, std::negation<std::is_same<T, bool>>,
                       std::negation<is_character<T>>> {};

template <class T>
inline constexpr bool always_false = false;

/// Whole milliseconds, rounded up; 0 if it is not positive, nothing if it is
/// NaN or too large.
template <class Rep, class Period>
std::optional<std::int64_t> milliseconds_of(std::chrono::duration<Rep, Period> time)
{
    const double count = std::chrono::duration<double, std::milli>(time).count();
    if (!(count < 9.2e18))
        return std::nullopt;
    if (count <= 0)
        return 0;
    // A double is exact enough for thousands of centuries, and what converts
    // exactly may overflow there.
    if (count >= 9e15)
        return static_cast<std::int64_t>(count);
    return std::int64_t{std::chrono::ceil<std::chrono::milliseconds>(time).count()};
}

}  // namespace detail

// ---------------------------------------------------------------- errors

/// Why a call failed. Owns the library's error; move-only.
/// Threads: any.
class error {
public:
    /// An error without details of its own: the code says it all.
    explicit error(std::int32_t code, const char *static_message = nullptr) noexcept
        : code_(code), text_(static_message)
    {
    }

    /// Takes over `raw`, which may be null.
    error(std::int32_t code, acervo_error *raw) noexcept : code_(code), raw_(raw) {}

    /// One of the negative ACERVO_... codes.
    std::int32_t code() const noexcept { return code_; }

    /// The name of the error's kind, "NotFound". Borrowed from this error.
    std::string_view kind() const noexcept
    {
        if (raw_.get() == nullptr)
            return acervo_code_name(code_);
        std::size_t length = 0;
        const char *text = acervo_error_kind(raw_.get(), &length);
        return {text, length};
    }

    /// What happened, for a person to read. Borrowed from this error.
    std::string_view message() const noexcept
    {
        if (raw_.get() == nullptr)
            return text_ != nullptr ? text_ : acervo_code_name(code_);
        std::size_t length = 0;
        const char *text = acervo_error_message(raw_.get(), &length);
        return {text, length};
    }

    /// Whether the same call may succeed later.
    bool retryable() const noexcept
    {
        if (raw_.get() != nullptr)
            return acervo_error_retryable(raw_.get());
        return code_ == ACERVO_TIMEOUT || code_ == ACERVO_UNAVAILABLE ||
               code_ == ACERVO_CONFLICT || code_ == ACERVO_RATE_LIMITED;
    }

    /// More about the failure, nothing if there is no more. The value is a
    /// reference of its own.
    inline std::optional<value> details() const;

    /// The C error, borrowed from this object; null if there is none.
    const acervo_error *c_handle() const noexcept { return raw_.get(); }

private:
    std::int32_t code_;
    const char *text_ = nullptr;
    detail::unique_handle<acervo_error, acervo_error_free> raw_;
};

#ifdef ACERVOPP_EXCEPTIONS
/// What value_or_throw() throws. Copies share the error.
class exception : public std::exception {
public:
    explicit exception(error why)
        : error_(std::make_shared<const acervopp::error>(std::move(why))),
          what_(std::make_shared<const std::string>(error_->message()))
    {
    }

    const char *what() const noexcept override { return what_->c_str(); }

    /// The error itself; lives as long as any copy of this exception.
    const acervopp::error &why() const noexcept { return *error_; }

private:
    std::shared_ptr<const acervopp::error> error_;
    std::shared_ptr<const std::string> what_;
};
#endif

/// A T, or the error that kept it from being made.
///
///     auto stored = store.get("limit");
///     if (!stored) return report(stored.error());
///     use(*stored);
///
/// `*`, `->` ask for a success and error() for a failure: anything else is a
/// programming error, as with std::optional.
template <class T>
class [[nodiscard]] result {
public:
    using value_type = T;

    result(T held) : state_(std::in_place_index<0>, std::move(held)) {}
    result(acervopp::error why) : state_(std::in_place_index<1>, std::move(why)) {}

    /// Whether there is a T.
    bool ok() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }

    T &operator*() & noexcept { return *std::get_if<0>(&state_); }
    const T &operator*() const & noexcept { return *std::get_if<0>(&state_); }
    T &&operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
    T *operator->() noexcept { return std::get_if<0>(&state_); }
    const T *operator->() const noexcept { return std::get_if<0>(&state_); }

    acervopp::error &error() & noexcept { return *std::get_if<1>(&state_); }
    const acervopp::error &error() const & noexcept { return *std::get_if<1>(&state_); }
    acervopp::error &&error() && noexcept { return std::move(*std::get_if<1>(&state_)); }

    /// ACERVO_OK, or the error's code.
    std::int32_t code() const noexcept { return ok() ? ACERVO_OK : error().code(); }

    /// The T, or `fallback` if there is none.
    template <class U>
    T value_or(U &&fallback) const &
    {
        return ok() ? **this : static_cast<T>(std::forward<U>(fallback));
    }
    template <class U>
    T value_or(U &&fallback) &&
    {
        return ok() ? std::move(**this) : static_cast<T>(std::forward<U>(fallback));
    }

#ifdef ACERVOPP_EXCEPTIONS
    /// The T; throws acervopp::exception if there is none.
    T value_or_throw() &&
    {
        if (!ok())
            throw exception(std::move(*this).error());
        return std::move(**this);
    }
#endif

private:
    std::variant<T, acervopp::error> state_;
};

/// The result of a call that gives nothing but may fail.
template <>
class [[nodiscard]] result<void> {
public:
    using value_type = void;

    result() noexcept = default;
    result(acervopp::error why) : error_(std::move(why)) {}

    /// Whether the call succeeded.
    bool ok() const noexcept { return !error_.has_value(); }
    explicit operator bool() const noexcept { return ok(); }

    acervopp::error &error() & noexcept { return *error_; }
    const acervopp::error &error() const & noexcept { return *error_; }
    acervopp::error &&error() && noexcept { return std::move(*error_); }

    /// ACERVO_OK, or the error's code.
    std::int32_t code() const noexcept { return ok() ? ACERVO_OK : error_->code(); }

#ifdef ACERVOPP_EXCEPTIONS
    /// Throws acervopp::exception if the call failed.
    void value_or_throw() &&
    {
        if (!ok())
            throw exception(std::move(*error_));
    }
#endif

private:
    std::optional<acervopp::error> error_;
};

namespace detail {

inline result<void> finish(std::int32_t code, acervo_error *raw)
{
    if (code == ACERVO_OK)
        return {};
    return error(code, raw);
}

}  // namespace detail

// ---------------------------------------------------------------- values

/// What a value is.
enum class type : std::int32_t {
    nil = ACERVO_TYPE_NIL,
    boolean = ACERVO_TYPE_BOOL,
    integer = ACERVO_TYPE_INT,
    floating = ACERVO_TYPE_FLOAT,
    string = ACERVO_TYPE_STRING,
    array = ACERVO_TYPE_ARRAY,
    map = ACERVO_TYPE_MAP,
    invalid = ACERVO_INVALID,  ///< no value at all, see value::valid()
};

/// Bytes that belong to somebody else.
struct byte_view {
    const std::uint8_t *data = nullptr;
    std::size_t size = 0;

    const std::uint8_t *begin() const noexcept { return data; }
    const std::uint8_t *end() const noexcept { return data + size; }
};

/// An immutable value: nil, bool, int, float, string, array or map. Copying
/// shares it.
///
/// C++ values convert by themselves: nullptr, bool, integers, float and double,
/// texts, std::optional (nil when empty), ranges (array) and associative
/// containers (map). What has no value, such as an integer above INT64_MAX or
/// an array nested too deep, becomes an invalid value: valid() is false, and
/// every call it is passed to answers ACERVO_INVALID. try_array and try_map
/// tell the reason.
///
/// Threads: any.
class value {
public:
    /// nil.
    value() noexcept : raw_(acervo_value_nil()) {}
    value(std::nullptr_t) noexcept : value() {}
    value(std::nullopt_t) noexcept : value() {}

    value(const char *text) noexcept : raw_(acervo_value_string(text, ACERVO_NTS)) {}
    value(std::string_view text) noexcept : raw_(acervo_value_string(text.data(), text.size())) {}
    value(const std::string &text) noexcept : value(std::string_view(text)) {}

    template <class T, std::enable_if_t<std::is_same_v<T, bool>, int> = 0>
    value(T truth) noexcept : raw_(acervo_value_bool(truth))
    {
    }

    template <class T, std::enable_if_t<detail::is_plain_integer<T>::value, int> = 0>
    value(T number) noexcept : raw_(from_integer(number))
    {
    }

    template <class T, std::enable_if_t<std::is_floating_point_v<T>, int> = 0>
    value(T number) noexcept : raw_(acervo_value_float(static_cast<double>(number)))
    {
    }

    template <class T, std::enable_if_t<detail::is_optional<T>::value &&
                                            std::is_constructible_v<value, typename T::value_type>,
                                        int> = 0>
    value(const T &maybe) : raw_(maybe.has_value() ? value(*maybe).release() : acervo_value_nil())
    {
    }

    template <class T,
              std::enable_if_t<detail::is_range<T>::value && !detail::is_text<T>::value, int> = 0>
    value(const T &container) : raw_(from_container(container).release())
    {
    }

    value(const value &other) noexcept : raw_(acervo_value_retain(other.raw_)) {}
    value(value &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    value &operator=(value other) noexcept
    {
        std::swap(raw_, other.raw_);
        return *this;
    }
    ~value() { acervo_value_free(raw_); }

    /// Takes over a reference that C code owns; null makes an invalid value.
    static value adopt(acervo_value *owned) noexcept { return value(adopted{}, owned); }
    /// Shares a value that C code keeps owning.
    static value share(const acervo_value *borrowed) noexcept
    {
        return value(adopted{}, acervo_value_retain(borrowed));
    }

    /// An array of anything that converts: `value::array({1, "two", nullptr})`.
    static value array(std::initializer_list<value> items)
    {
        return unwrap(try_array(items.begin(), items.end()));
    }

    /// A map of anything that converts: `value::map({{"cpu", 80}, {1, "one"}})`.
    static value map(std::initializer_list<std::pair<value, value>> entries)
    {
        return unwrap(try_map(entries.begin(), entries.end()));
    }

    /// An array of the values in a range; INVALID tells what is wrong.
    template <class Iterator>
    static result<value> try_array(Iterator first, Iterator last)
    {
        std::vector<value> items(first, last);
        std::vector<const acervo_value *> raw;
        raw.reserve(items.size());
        for (const value &item : items)
            raw.push_back(item.raw_);
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_value_array(raw.data(), raw.size(), &out, &err);
        return take(code, out, err);
    }

    /// A map of the pairs in a range; INVALID tells what is wrong (a key that
    /// is nil, NaN, an array or a map, or equal to another key).
    template <class Iterator>
    static result<value> try_map(Iterator first, Iterator last)
    {
        std::vector<value> held;
        for (; first != last; ++first) {
            held.emplace_back(first->first);
            held.emplace_back(first->second);
        }
        std::vector<const acervo_value *> keys;
        std::vector<const acervo_value *> values;
        for (std::size_t i = 0; i < held.size(); i += 2) {
            keys.push_back(held[i].raw_);
            values.push_back(held[i + 1].raw_);
        }
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_value_map(keys.data(), values.data(), keys.size(), &out, &err);
        return take(code, out, err);
    }

    /// Reads a JSON text; INVALID tells where it is wrong.
    static result<value> from_json(std::string_view text)
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_value_from_json(detail::data_of(text), text.size(), &out, &err);
        return take(code, out, err);
    }

    /// Reads one MessagePack value; INVALID tells the offset of what is wrong.
    static result<value> from_msgpack(const std::uint8_t *data, std::size_t size)
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_value_from_msgpack(data, size, &out, &err);
        return take(code, out, err);
    }
    static result<value> from_msgpack(byte_view bytes)
    {
        return from_msgpack(bytes.data, bytes.size);
    }

    /// Whether this is a value; false for what could not be made and after a
    /// move.
    bool valid() const noexcept { return raw_ != nullptr; }

    acervopp::type type() const noexcept
    {
        return raw_ != nullptr ? static_cast<acervopp::type>(acervo_value_type(raw_))
                               : acervopp::type::invalid;
    }
    bool is_nil() const noexcept { return type() == acervopp::type::nil; }
    bool is_bool() const noexcept { return type() == acervopp::type::boolean; }
    bool is_int() const noexcept { return type() == acervopp::type::integer; }
    bool is_float() const noexcept { return type() == acervopp::type::floating; }
    bool is_string() const noexcept { return type() == acervopp::type::string; }
    bool is_array() const noexcept { return type() == acervopp::type::array; }
    bool is_map() const noexcept { return type() == acervopp::type::map; }

    /// Exact conversions: 3 is also 3.0 and 3.0 is also 3, but 3.5 is no int.
    /// Anything else is INVALID.
    result<bool> as_bool() const
    {
        bool out = false;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_value_as_bool(raw_, &out, &err);
        return given(code, out, err);
    }
    result<std::int64_t> as_int() const
    {
        std::int64_t out = 0;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_value_as_int(raw_, &out, &err);
        return given(code, out, err);
    }
    result<double> as_float() const
    {
        double out = 0;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_value_as_float(raw_, &out, &err);
        return given(code, out, err);
    }
    /// The bytes of a string, borrowed from this value.
    result<std::string_view> as_string() const
    {
        const char *out = nullptr;
        std::size_t length = 0;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_value_as_string(raw_, &out, &length, &err);
        return given(code, std::string_view(out, length), err);
    }

    /// The value as a C++ type: bool, any integer (INVALID if out of its
    /// range), float, double (a float that is not exact is rounded; INVALID if out of range, or
    /// an integer that the type does not hold exactly), std::string, std::string_view (borrowed),
    /// std::optional, a container with push_back, or an associative container.
    template <class T>
    result<T> as() const;

    /// Elements of an array or a map, bytes of a string, otherwise 0.
    std::size_t size() const noexcept { return acervo_value_len(raw_); }

    /// The item of an array, from 0 on; NOT_FOUND past the end. A template so
    /// that `at(0)` is not taken for a null text.
    template <class Index, std::enable_if_t<detail::is_plain_integer<Index>::value, int> = 0>
    result<value> at(Index index) const
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_value_at(raw_, static_cast<std::size_t>(index), &out, &err);
        return take(code, out, err);
    }

    /// What a map holds under a string key; NOT_FOUND if it has none.
    result<value> at(std::string_view key) const
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_value_get(raw_, detail::data_of(key), key.size(), &out, &err);
        return take(code, out, err);
    }

    /// The same as at(), for a literal.
    result<value> at(const char *key) const { return at(std::string_view(key)); }

    /// Entry `index` of a map, in the order in which it keeps them.
    result<std::pair<value, value>> entry_at(std::size_t index) const
    {
        acervo_value *key = nullptr;
        acervo_value *held = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_value_entry_at(raw_, index, &key, &held, &err);
        if (code != ACERVO_OK)
            return acervopp::error(code, err);
        return std::pair<value, value>(adopt(key), adopt(held));
    }

    class item_range;
    class entry_range;

    /// The items of an array: `for (const value &item : list.items())`. Nothing
    /// for any other value. Holds a reference of its own.
    inline item_range items() const;

    /// The entries of a map: `for (const auto &[key, held] : map.entries())`.
    /// Nothing for any other value. Holds a reference of its own.
    inline entry_range entries() const;

    /// The value as JSON. INVALID if it has no such form.
    result<std::string> to_json() const
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_value_to_json(raw_, &out, &err);
        if (code != ACERVO_OK)
            return acervopp::error(code, err);
        const value held = adopt(out);
        result<std::string_view> text = held.as_string();
        if (!text)
            return std::move(text).error();
        return std::string(*text);
    }

    /// The value as MessagePack, borrowed from this value.
    result<byte_view> msgpack() const
    {
        byte_view out;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_value_msgpack(raw_, &out.data, &out.size, &err);
        return given(code, out, err);
    }

    /// Numbers compare exactly across int and float, NaN equals NaN, maps
    /// compare regardless of order. An invalid value equals nothing.
    friend bool operator==(const value &a, const value &b) noexcept
    {
        return a.raw_ != nullptr && b.raw_ != nullptr && acervo_value_equal(a.raw_, b.raw_);
    }
    friend bool operator!=(const value &a, const value &b) noexcept { return !(a == b); }

    /// The C value, borrowed from this object; null if it is invalid.
    const acervo_value *c_handle() const noexcept { return raw_; }
    /// Gives the reference up: the caller frees it with acervo_value_free.
    acervo_value *release() noexcept { return std::exchange(raw_, nullptr); }

private:
    struct adopted {};
    value(adopted, acervo_value *raw) noexcept : raw_(raw) {}

    template <class T>
    static acervo_value *from_integer(T number) noexcept
    {
        if constexpr (std::is_unsigned_v<T> && sizeof(T) >= sizeof(std::int64_t)) {
            if (number > static_cast<T>(std::numeric_limits<std::int64_t>::max()))
                return nullptr;
        }
        return acervo_value_int(static_cast<std::int64_t>(number));
    }

    template <class T>
    static value from_container(const T &container)
    {
        if constexpr (detail::is_map<T>::value)
            return unwrap(try_map(std::begin(container), std::end(container)));
        else
            return unwrap(try_array(std::begin(container), std::end(container)));
    }

    static value unwrap(result<value> made)
    {
        return made ? *std::move(made) : adopt(nullptr);
    }

    static result<value> take(std::int32_t code, acervo_value *out, acervo_error *err)
    {
        if (code != ACERVO_OK)
            return acervopp::error(code, err);
        return adopt(out);
    }

    template <class T>
    static result<T> given(std::int32_t code, T out, acervo_error *err)
    {
        if (code != ACERVO_OK)
            return acervopp::error(code, err);
        return out;
    }

    template <class T>
    result<T> as_range() const;
    template <class T>
    result<T> as_map() const;

    acervo_value *raw_;
};

namespace detail {

/// Walks the elements of a value; Read(value, index) gives one.
template <class Element, Element (*Read)(const value &, std::size_t)>
class element_iterator {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Element;
    using difference_type = std::ptrdiff_t;
    using pointer = const Element *;
    using reference = Element;

    element_iterator() noexcept = default;
    element_iterator(const value *whole, std::size_t index) noexcept
        : whole_(whole), index_(index)
    {
    }

    Element operator*() const { return Read(*whole_, index_); }
    element_iterator &operator++() noexcept
    {
        ++index_;
        return *this;
    }
    element_iterator operator++(int) noexcept
    {
        element_iterator before = *this;
        ++index_;
        return before;
    }
    friend bool operator==(const element_iterator &a, const element_iterator &b) noexcept
    {
        return a.index_ == b.index_;
    }
    friend bool operator!=(const element_iterator &a, const element_iterator &b) noexcept
    {
        return !(a == b);
    }

private:
    const value *whole_ = nullptr;
    std::size_t index_ = 0;
};

inline value read_item(const value &whole, std::size_t index)
{
    return whole.at(index).value_or(value::adopt(nullptr));
}

inline std::pair<value, value> read_entry(const value &whole, std::size_t index)
{
    result<std::pair<value, value>> entry = whole.entry_at(index);
    if (!entry)
        return {value::adopt(nullptr), value::adopt(nullptr)};
    return *std::move(entry);
}

}  // namespace detail

/// See value::items().
class value::item_range {
public:
    using iterator = detail::element_iterator<value, detail::read_item>;
    explicit item_range(value whole) : whole_(std::move(whole)) {}
    iterator begin() const noexcept { return {&whole_, 0}; }
    iterator end() const noexcept { return {&whole_, whole_.is_array() ? whole_.size() : 0}; }

private:
    value whole_;
};

/// See value::entries().
class value::entry_range {
public:
    using iterator = detail::element_iterator<std::pair<value, value>, detail::read_entry>;
    explicit entry_range(value whole) : whole_(std::move(whole)) {}
    iterator begin() const noexcept { return {&whole_, 0}; }
    iterator end() const noexcept { return {&whole_, whole_.is_map() ? whole_.size() : 0}; }

private:
    value whole_;
};

inline value::item_range value::items() const { return item_range(*this); }
inline value::entry_range value::entries() const { return entry_range(*this); }

template <class T>
result<T> value::as() const
{
    if constexpr (std::is_same_v<T, value>) {
        return *this;
    } else if constexpr (std::is_same_v<T, bool>) {
        return as_bool();
    } else if constexpr (detail::is_plain_integer<T>::value) {
        result<std::int64_t> wide = as_int();
        if (!wide)
            return std::move(wide).error();
        const T narrow = static_cast<T>(*wide);
        if (static_cast<std::int64_t>(narrow) != *wide || (narrow < T{}) != (*wide < 0))
            return acervopp::error(ACERVO_INVALID, "the integer does not fit the type asked for");
        return narrow;
    } else if constexpr (std::is_floating_point_v<T>) {
        result<double> wide = as_float();
        if (!wide)
            return std::move(wide).error();
        if (std::isfinite(*wide) && std::abs(*wide) > std::numeric_limits<T>::max())
            return acervopp::error(ACERVO_INVALID, "the number does not fit the type asked for");
        const T narrow = static_cast<T>(*wide);
        if (is_int() && narrow != *wide)
            return acervopp::error(ACERVO_INVALID, "the integer does not fit the type asked for");
        return narrow;
    } else if constexpr (std::is_same_v<T, std::string_view>) {
        return as_string();
    } else if constexpr (std::is_same_v<T, std::string>) {
        result<std::string_view> text = as_string();
        if (!text)
            return std::move(text).error();
        return std::string(*text);
    } else if constexpr (detail::is_optional<T>::value) {
        if (is_nil())
            return T{};
        result<typename T::value_type> held = as<typename T::value_type>();
        if (!held)
            return std::move(held).error();
        return T(*std::move(held));
    } else if constexpr (detail::is_map<T>::value) {
        return as_map<T>();
    } else if constexpr (detail::is_range<T>::value) {
        return as_range<T>();
    } else {
        static_assert(detail::always_false<T>, "value::as() knows no such type");
    }
}

template <class T>
result<T> value::as_range() const
{
    if (!is_array())
        return acervopp::error(ACERVO_INVALID, "the value is not an array");
    T out;
    for (const value &item : items()) {
        auto element = item.template as<typename T::value_type>();
        if (!element)
            return std::move(element).error();
        out.push_back(*std::move(element));
    }
    return out;
}

template <class T>
result<T> value::as_map() const
{
    if (!is_map())
        return acervopp::error(ACERVO_INVALID, "the value is not a map");
    T out;
    for (const auto &[key, held] : entries()) {
        auto name = key.template as<typename T::key_type>();
        if (!name)
            return std::move(name).error();
        auto element = held.template as<typename T::mapped_type>();
        if (!element)
            return std::move(element).error();
        out.emplace(*std::move(name), *std::move(element));
    }
    return out;
}

inline std::optional<value> error::details() const
{
    const acervo_value *borrowed =
        raw_.get() != nullptr ? acervo_error_details(raw_.get()) : nullptr;
    if (borrowed == nullptr)
        return std::nullopt;
    return value::share(borrowed);
}

// ---------------------------------------------------- registry and store

/// What a key holds, and when it was written.
struct stored {
    value held;
    std::int64_t timestamp = 0;  ///< seconds since the Unix epoch, UTC
};

/// Changes that are made together: all or nothing, one sync.
/// Ownership: keeps its kv's namespace alive. Threads: one at a time.
class batch {
public:
    /// Adds a put, and clears the key's time to live.
    result<void> put(std::string_view key, const value &held)
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_batch_put(raw_.get(), detail::data_of(key), key.size(),
                                                   held.c_handle(), &err);
        return detail::finish(code, err);
    }

    /// Adds a put that expires. A time that is not positive is INVALID.
    template <class Rep, class Period>
    result<void> put(std::string_view key, const value &held,
                     std::chrono::duration<Rep, Period> time_to_live)
    {
        acervo_error *err = nullptr;
        const std::optional<std::int64_t> ttl = detail::milliseconds_of(time_to_live);
        if (!ttl)
            return error(ACERVO_INVALID, "the time to live is no number of milliseconds");
        const std::int32_t code =
            acervo_batch_put_ttl(raw_.get(), detail::data_of(key), key.size(), held.c_handle(),
                                 *ttl, &err);
        return detail::finish(code, err);
    }

    /// Adds a delete; a missing key is no error.
    result<void> remove(std::string_view key)
    {
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_batch_delete(raw_.get(), detail::data_of(key), key.size(), &err);
        return detail::finish(code, err);
    }

    /// Makes all changes and leaves the batch empty. On failure nothing was
    /// changed.
    result<void> commit()
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_batch_commit(raw_.get(), &err);
        return detail::finish(code, err);
    }

    /// The C batch, borrowed from this object.
    acervo_batch *c_handle() const noexcept { return raw_.get(); }

private:
    friend class kv;
    explicit batch(acervo_batch *raw) noexcept : raw_(raw) {}
    detail::unique_handle<acervo_batch, acervo_batch_free> raw_;
};

/// A key-value namespace: the registry, the store of one ident, or the global
/// keys of the store. Keys are 1 to 1024 bytes of any content.
///
/// Every call: INVALID for a bad key or value, UNAVAILABLE when the disk or
/// another process is in the way, PERMISSION_DENIED on a read-only database,
/// INTERNAL after close, FORKED in a forked child.
///
/// Ownership: move-only; keeps its database alive. Threads: any.
class kv {
public:
    /// Takes over a handle that C code owns.
    static kv adopt(acervo_kv *owned) noexcept { return kv(owned); }

    /// Stores a value and clears the key's time to live.
    result<void> put(std::string_view key, const value &held)
    {
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_kv_put(raw_.get(), detail::data_of(key), key.size(), held.c_handle(), &err);
        return detail::finish(code, err);
    }

    /// Stores a value that reads as missing once `time_to_live` is over.
    /// Fractions of a millisecond are rounded up; not positive is INVALID.
    template <class Rep, class Period>
    result<void> put(std::string_view key, const value &held,
                     std::chrono::duration<Rep, Period> time_to_live)
    {
        acervo_error *err = nullptr;
        const std::optional<std::int64_t> ttl = detail::milliseconds_of(time_to_live);
        if (!ttl)
            return error(ACERVO_INVALID, "the time to live is no number of milliseconds");
        const std::int32_t code =
            acervo_kv_put_ttl(raw_.get(), detail::data_of(key), key.size(), held.c_handle(),
                              *ttl, &err);
        return detail::finish(code, err);
    }

    /// What the key holds. Nothing if it is missing, which is no error: a
    /// stored nil is something.
    result<std::optional<stored>> get(std::string_view key) const
    {
        acervo_value *out = nullptr;
        stored found;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_kv_get(raw_.get(), detail::data_of(key), key.size(),
                                                &out, &found.timestamp, &err);
        if (code == ACERVO_NOT_FOUND) {
            acervo_error_free(err);
            return std::optional<stored>();
        }
        if (code != ACERVO_OK)
            return error(code, err);
        found.held = value::adopt(out);
        return std::optional<stored>(std::move(found));
    }

    /// What the key holds as a T, or `fallback` if it is missing. INVALID if it
    /// holds something that is no T.
    template <class T>
    result<T> get_or(std::string_view key, T fallback) const
    {
        static_assert(!std::is_same_v<T, std::string_view> && !std::is_pointer_v<T>,
                      "the text would outlive its value: use std::string");
        result<std::optional<stored>> found = get(key);
        if (!found)
            return std::move(found).error();
        if (!found->has_value())
            return fallback;
        return (*found)->held.template as<T>();
    }

    /// Whether the key is there.
    result<bool> contains(std::string_view key) const
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_kv_get(raw_.get(), detail::data_of(key), key.size(),
                                                nullptr, nullptr, &err);
        if (code != ACERVO_OK && code != ACERVO_NOT_FOUND)
            return error(code, err);
        acervo_error_free(err);
        return code == ACERVO_OK;
    }

    /// Deletes a key; a missing one is no error.
    result<void> remove(std::string_view key)
    {
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_kv_delete(raw_.get(), detail::data_of(key), key.size(), &err);
        return detail::finish(code, err);
    }

    /// Adds to an int, atomically; a missing key counts as 0. Gives the new
    /// value. INVALID on overflow and for what is not an int.
    result<std::int64_t> incr(std::string_view key, std::int64_t by = 1)
    {
        std::int64_t out = 0;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_kv_incr(raw_.get(), detail::data_of(key), key.size(), by, &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return out;
    }

    /// Adds to an int or a float, atomically, and stores a float.
    result<double> incr_float(std::string_view key, double by)
    {
        double out = 0;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_kv_incr_float(raw_.get(), detail::data_of(key), key.size(), by, &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return out;
    }

    /// Stores `held` if the key holds `expected`, atomically; tells whether it
    /// did. `std::nullopt` expects a missing key, a nil value a stored nil.
    result<bool> cas(std::string_view key, const std::optional<value> &expected,
                     const value &held)
    {
        bool out = false;
        acervo_error *err = nullptr;
        if (expected.has_value() && !expected->valid())
            return error(ACERVO_INVALID, "the expected value is invalid");
        const std::int32_t code = acervo_kv_cas(
            raw_.get(), detail::data_of(key), key.size(),
            expected.has_value() ? expected->c_handle() : nullptr, held.c_handle(), &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return out;
    }

    /// Deletes the key if it holds `expected`, atomically; tells whether it did.
    result<bool> cas_delete(std::string_view key, const value &expected)
    {
        bool out = false;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_kv_cas_delete(
            raw_.get(), detail::data_of(key), key.size(), expected.c_handle(), &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return out;
    }

    /// Reads, changes and writes a key without losing what others write:
    /// `change(current)` gets a `const std::optional<stored> &` and returns the
    /// new value, or std::nullopt to delete the key. It runs without a lock and
    /// may run again, so it has no side effects. Gives what was stored, or
    /// nothing if the key was deleted. CONFLICT after 64 rounds.
    template <class Change>
    result<std::optional<value>> update(std::string_view key, Change &&change)
    {
        constexpr int rounds = 64;
        for (int round = 0; round < rounds; ++round) {
            result<std::optional<stored>> current = get(key);
            if (!current)
                return std::move(current).error();
            std::optional<value> wanted = change(std::as_const(*current));
            std::optional<value> expected;
            if (current->has_value())
                expected = (*current)->held;
            if (!wanted.has_value() && !expected.has_value())
                return wanted;
            result<bool> swapped =
                wanted.has_value() ? cas(key, expected, *wanted) : cas_delete(key, *expected);
            if (!swapped)
                return std::move(swapped).error();
            if (*swapped)
                return wanted;
        }
        return error(ACERVO_CONFLICT, "update: others kept writing the key");
    }

    /// The keys that begin with `prefix`, sorted.
    result<std::vector<std::string>> keys(std::string_view prefix = {}) const
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_kv_keys(raw_.get(), detail::data_of(prefix), prefix.size(), &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return value::adopt(out).as<std::vector<std::string>>();
    }

    /// How many live keys begin with `prefix`.
    result<std::uint64_t> count(std::string_view prefix = {}) const
    {
        std::uint64_t out = 0;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_kv_count(raw_.get(), detail::data_of(prefix), prefix.size(), &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return out;
    }

    /// Deletes all keys that begin with `prefix` at once, gives how many.
    result<std::uint64_t> remove_prefix(std::string_view prefix)
    {
        std::uint64_t out = 0;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_kv_delete_prefix(raw_.get(), detail::data_of(prefix),
                                                          prefix.size(), &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return out;
    }

    /// Deletes what has not been written for that long, gives how many.
    template <class Rep, class Period>
    result<std::uint64_t> purge(std::chrono::duration<Rep, Period> older_than)
    {
        const double seconds = std::chrono::duration<double>(older_than).count();
        std::uint64_t out = 0;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_kv_purge(raw_.get(), seconds, &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return out;
    }

    /// Calls `visit(key, value, timestamp)` for each key that begins with
    /// `prefix`, in key order, on this thread and with no lock held: it may
    /// call anything. The key is borrowed for the call; the value may be kept.
    /// If it returns a bool, false ends the walk. What it throws comes out of
    /// here. Gives whether the walk went to the end.
    template <class Visit>
    result<bool> for_each(std::string_view prefix, Visit &&visit) const;

    /// Returns when everything put before is on disk.
    result<void> flush()
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_kv_flush(raw_.get(), &err);
        return detail::finish(code, err);
    }

    /// An empty batch for this namespace.
    acervopp::batch new_batch() const { return acervopp::batch(acervo_batch_new(raw_.get())); }

    /// The C handle, borrowed from this object.
    acervo_kv *c_handle() const noexcept { return raw_.get(); }

private:
    explicit kv(acervo_kv *raw) noexcept : raw_(raw) {}
    detail::unique_handle<acervo_kv, acervo_kv_free> raw_;
};

namespace detail {

/// What a walk gives to the C callback. An exception must not cross C frames:
/// it is kept and thrown again on this side of them.
template <class Visit>
struct walk {
    static constexpr std::int32_t stopped = 1;

    Visit &visit;
#ifdef ACERVOPP_EXCEPTIONS
    std::exception_ptr thrown = nullptr;
#endif

    std::int32_t call(std::string_view key, const acervo_value *borrowed, std::int64_t timestamp)
    {
        const value held = value::share(borrowed);
        if constexpr (std::is_same_v<decltype(visit(key, held, timestamp)), bool>) {
            return visit(key, held, timestamp) ? ACERVO_OK : stopped;
        } else {
            visit(key, held, timestamp);
            return ACERVO_OK;
        }
    }

    static std::int32_t step(void *userdata, const char *key, std::size_t key_len,
                             const acervo_value *borrowed, std::int64_t timestamp) noexcept
    {
        walk &self = *static_cast<walk *>(userdata);
#ifdef ACERVOPP_EXCEPTIONS
        try {
            return self.call({key, key_len}, borrowed, timestamp);
        } catch (...) {
            self.thrown = std::current_exception();
            return stopped;
        }
#else
        return self.call({key, key_len}, borrowed, timestamp);
#endif
    }
};

}  // namespace detail

template <class Visit>
result<bool> kv::for_each(std::string_view prefix, Visit &&visit) const
{
    using walk = detail::walk<std::remove_reference_t<Visit>>;
    walk state{visit};
    acervo_error *err = nullptr;
    const std::int32_t code = acervo_kv_each(raw_.get(), detail::data_of(prefix), prefix.size(),
                                             &walk::step, &state, nullptr, &err);
#ifdef ACERVOPP_EXCEPTIONS
    if (state.thrown != nullptr) {
        acervo_error_free(err);
        std::rethrow_exception(state.thrown);
    }
#endif
    if (code < 0)
        return error(code, err);
    acervo_error_free(err);
    return code == ACERVO_OK;
}

// --------------------------------------------------------- entry registry

/// A typed entry: id, kind, meta and data. Immutable; copying shares it. Stays
/// usable after its database is closed. Threads: any.
class entry {
public:
    /// An entry from its parts, copied. `id` is "namespace:name"; without a
    /// colon the namespace is empty. No meta is an empty map; no data, or nil,
    /// is absent. INVALID for an id or a kind that no entry can have, and for a
    /// meta that is no map with string keys.
    static result<entry> make(std::string_view id, std::string_view kind,
                              const std::optional<value> &meta = std::nullopt,
                              const std::optional<value> &data = std::nullopt)
    {
        if ((meta.has_value() && !meta->valid()) || (data.has_value() && !data->valid()))
            return error(ACERVO_INVALID, "meta or data of the entry is an invalid value");
        acervo_entry *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_entry_new(
            detail::data_of(id), id.size(), detail::data_of(kind), kind.size(),
            meta.has_value() ? meta->c_handle() : nullptr,
            data.has_value() ? data->c_handle() : nullptr, &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return adopt(out);
    }

    /// Takes over a reference that C code owns.
    static entry adopt(acervo_entry *owned) noexcept { return entry(owned); }
    /// Shares an entry that C code keeps owning.
    static entry share(const acervo_entry *borrowed) noexcept
    {
        return entry(acervo_entry_retain(borrowed));
    }

    /// Whether this is an entry; false after a move and past the end of a list.
    bool valid() const noexcept { return raw_.get() != nullptr; }

    /// "namespace:name", with the colon also where the namespace is empty.
    /// Borrowed from this entry, like the other texts.
    std::string_view id() const noexcept
    {
        std::size_t length = 0;
        const char *text = acervo_entry_id(raw_.get(), &length);
        return {text, length};
    }
    /// The id up to its first colon.
    std::string_view ns() const noexcept { return id().substr(0, colon()); }
    /// The id behind its first colon.
    std::string_view name() const noexcept
    {
        return valid() ? id().substr(colon() + 1) : std::string_view();
    }
    std::string_view kind() const noexcept
    {
        std::size_t length = 0;
        const char *text = acervo_entry_kind(raw_.get(), &length);
        return {text, length};
    }

    /// The meta fields, a map. A reference of its own.
    value meta() const noexcept { return value::share(acervo_entry_meta(raw_.get())); }

    /// The data; nothing if the entry has none. A reference of its own.
    std::optional<value> data() const
    {
        const acervo_value *borrowed = acervo_entry_data(raw_.get());
        if (borrowed == nullptr)
            return std::nullopt;
        return value::share(borrowed);
    }

    /// By id, kind, meta and data. An invalid entry equals nothing.
    friend bool operator==(const entry &a, const entry &b)
    {
        if (!a.valid() || !b.valid())
            return false;
        return a.c_handle() == b.c_handle() ||
               (a.id() == b.id() && a.kind() == b.kind() && a.meta() == b.meta() &&
                a.data() == b.data());
    }
    friend bool operator!=(const entry &a, const entry &b) { return !(a == b); }

    /// The C entry, borrowed from this object; null if it is invalid.
    const acervo_entry *c_handle() const noexcept { return raw_.get(); }
    /// Gives the reference up: the caller frees it with acervo_entry_free.
    acervo_entry *release() noexcept { return raw_.release(); }

private:
    explicit entry(acervo_entry *raw) noexcept : raw_(raw) {}
    std::size_t colon() const noexcept { return valid() ? id().find(':') : 0; }

    detail::shared_handle<acervo_entry, acervo_entry_retain, acervo_entry_free> raw_;
};

/// Entries of a snapshot, sorted by namespace and name. Immutable, move-only.
///
///     acervopp::result<acervopp::entry_list> list = snapshot.entries();
///     if (!list) return report(list.error());
///     for (const acervopp::entry &one : *list) use(one.id());
///
/// Ownership: keeps what it needs of the snapshot alive; the entries it gives
/// out are references of their own. Threads: any.
class entry_list {
public:
    /// Walks a list that outlives it.
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = entry;
        using difference_type = std::ptrdiff_t;
        using pointer = const entry *;
        using reference = entry;

        iterator() noexcept = default;
        iterator(const acervo_entries *list, std::size_t index) noexcept
            : list_(list), index_(index)
        {
        }

        entry operator*() const noexcept { return entry::share(acervo_entries_at(list_, index_)); }
        iterator &operator++() noexcept
        {
            ++index_;
            return *this;
        }
        iterator operator++(int) noexcept
        {
            iterator before = *this;
            ++index_;
            return before;
        }
        friend bool operator==(const iterator &a, const iterator &b) noexcept
        {
            return a.index_ == b.index_;
        }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return !(a == b); }

    private:
        const acervo_entries *list_ = nullptr;
        std::size_t index_ = 0;
    };

    /// Takes over a list that C code owns.
    static entry_list adopt(acervo_entries *owned) noexcept { return entry_list(owned); }

    std::size_t size() const noexcept { return acervo_entries_len(raw_.get()); }
    bool empty() const noexcept { return size() == 0; }

    /// One of the entries, from 0 on; an invalid one past the end.
    entry operator[](std::size_t index) const noexcept
    {
        return entry::share(acervo_entries_at(raw_.get(), index));
    }

    iterator begin() const noexcept { return {raw_.get(), 0}; }
    iterator end() const noexcept { return {raw_.get(), size()}; }

    /// The C list, borrowed from this object.
    const acervo_entries *c_handle() const noexcept { return raw_.get(); }

private:
    explicit entry_list(acervo_entries *raw) noexcept : raw_(raw) {}
    detail::unique_handle<acervo_entries, acervo_entries_free> raw_;
};

/// One operation: queued, planned, or of a delta.
struct operation {
    std::string kind;               ///< "entry.create", "entry.update" or "entry.delete"
    std::string id;                 ///< "namespace:name"
    value entry;                    ///< a map of id, kind, meta, data; of a queued delete id only
    std::optional<value> original;  ///< the entry as it was, where that is known
};

/// What is known about a version.
struct version_info {
    std::uint64_t id = 0;
    std::optional<std::uint64_t> parent;  ///< nothing for the root
    std::optional<std::int64_t> time;     ///< seconds since the Unix epoch, UTC
    std::optional<std::string> author;
    std::optional<std::string> message;
};

namespace detail {

/// What a map holds under a key, as a T; nothing if it has no such key.
template <class T>
result<std::optional<T>> field_of(const value &map, std::string_view key)
{
    result<value> held = map.at(key);
    if (held.code() == ACERVO_NOT_FOUND)
        return std::optional<T>();
    if (!held)
        return std::move(held).error();
    return held->as<std::optional<T>>();
}

inline result<operation> read_operation(const value &map)
{
    result<std::optional<std::string>> kind = field_of<std::string>(map, "kind");
    if (!kind)
        return std::move(kind).error();
    result<value> held = map.at("entry");
    if (!held)
        return std::move(held).error();
    result<std::optional<std::string>> id = field_of<std::string>(*held, "id");
    if (!id)
        return std::move(id).error();
    result<std::optional<value>> original = field_of<value>(map, "original");
    if (!original)
        return std::move(original).error();
    return operation{kind->value_or(""), id->value_or(""), *std::move(held),
                     *std::move(original)};
}

inline result<version_info> read_version(const value &map)
{
    result<std::optional<std::uint64_t>> id = field_of<std::uint64_t>(map, "id");
    if (!id)
        return std::move(id).error();
    result<std::optional<std::uint64_t>> parent = field_of<std::uint64_t>(map, "parent");
    if (!parent)
        return std::move(parent).error();
    result<std::optional<std::int64_t>> time = field_of<std::int64_t>(map, "time");
    if (!time)
        return std::move(time).error();
    result<std::optional<std::string>> author = field_of<std::string>(map, "author");
    if (!author)
        return std::move(author).error();
    result<std::optional<std::string>> message = field_of<std::string>(map, "message");
    if (!message)
        return std::move(message).error();
    return version_info{id->value_or(0), *parent, *time, *std::move(author),
                        *std::move(message)};
}

/// An array that a C call gave, element by element.
template <class T>
result<std::vector<T>> read_all(std::int32_t code, acervo_value *out, acervo_error *err,
                                result<T> (*read)(const value &))
{
    if (code != ACERVO_OK)
        return error(code, err);
    std::vector<T> all;
    for (const value &item : value::adopt(out).items()) {
        result<T> one = read(item);
        if (!one)
            return std::move(one).error();
        all.push_back(*std::move(one));
    }
    return all;
}

}  // namespace detail

/// Creates, updates and deletes of entries, applied together, all or none.
///
///     acervopp::changes changes = now.new_changes();
///     if (auto queued = changes.create(web); !queued) return report(queued.error());
///     acervopp::result<std::uint64_t> version = changes.apply({{"author", "ana"}});
///
/// Ownership: move-only; keeps its snapshot and database alive. Threads: one at
/// a time.
class changes {
public:
    /// Queues a create. INVALID for an entry over `value_limit`, more than
    /// 100000 operations and changes that were applied; what was queued stays.
    result<void> create(const entry &added)
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_changes_create(raw_.get(), added.c_handle(), &err);
        return detail::finish(code, err);
    }

    /// Queues an update: the entry with this id becomes `changed`, whole.
    result<void> update(const entry &changed)
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_changes_update(raw_.get(), changed.c_handle(), &err);
        return detail::finish(code, err);
    }

    /// Queues a delete.
    result<void> remove(std::string_view id)
    {
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_changes_delete(raw_.get(), detail::data_of(id), id.size(), &err);
        return detail::finish(code, err);
    }

    /// Sets one option of the apply, nil unsets it: `base` ("strict": nobody
    /// changed anything since the snapshot; "disjoint": nobody changed what is
    /// touched), `author`, `message`, `dry_run`. INVALID names an option that
    /// does not exist or a wrong value.
    result<void> set(std::string_view option, const value &setting)
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_changes_set(raw_.get(), detail::data_of(option),
                                                     option.size(), setting.c_handle(), &err);
        return detail::finish(code, err);
    }

    /// What is queued, in call order; also after the apply.
    result<std::vector<operation>> ops() const
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_changes_ops(raw_.get(), &out, &err);
        return detail::read_all(code, out, err, detail::read_operation);
    }

    /// What an apply would do now, in its order. Fails as apply() does.
    result<std::vector<operation>> plan() const
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_changes_plan(raw_.get(), &out, &err);
        return detail::read_all(code, out, err, detail::read_operation);
    }

    /// Applies the changes to the registry as it is now and gives the version
    /// that was made; after a dry run the current one. After success the
    /// changes are spent, after a failure or a dry run they are as before.
    /// INVALID without changes and for spent ones; ALREADY_EXISTS, NOT_FOUND or
    /// INVALID for the first fault in call order; CONFLICT if `base` forbids
    /// it, with `ids` in the error's details.
    result<std::uint64_t> apply()
    {
        std::uint64_t out = 0;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_changes_apply(raw_.get(), &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return out;
    }

    /// Sets options, which stay set, and applies:
    /// `changes.apply({{"base", "strict"}, {"author", "ana"}})`
    result<std::uint64_t> apply(std::initializer_list<std::pair<std::string_view, value>> how)
    {
        for (const auto &[option, setting] : how) {
            result<void> done = set(option, setting);
            if (!done)
                return std::move(done).error();
        }
        return apply();
    }

    /// The C changes, borrowed from this object.
    acervo_changes *c_handle() const noexcept { return raw_.get(); }

private:
    friend class snapshot;
    explicit changes(acervo_changes *raw) noexcept : raw_(raw) {}
    detail::unique_handle<acervo_changes, acervo_changes_free> raw_;
};

/// Which part of what was found is wanted.
struct page {
    std::optional<std::uint64_t> limit;  ///< at most so many
    std::uint64_t offset = 0;            ///< without the first so many
};

/// The entry registry at one version. Immutable; copying shares it. Stays
/// usable after its database is closed. Threads: any.
class snapshot {
public:
    /// Takes over a reference that C code owns.
    static snapshot adopt(acervo_snapshot *owned) noexcept { return snapshot(owned); }
    /// Shares a snapshot that C code keeps owning.
    static snapshot share(const acervo_snapshot *borrowed) noexcept
    {
        return snapshot(acervo_snapshot_retain(borrowed));
    }

    /// Its version.
    std::uint64_t version() const noexcept { return acervo_snapshot_version(raw_.get()); }

    /// How many entries it has.
    std::size_t size() const noexcept { return acervo_snapshot_len(raw_.get()); }

    /// The entry with this id; nothing if there is none, which is no error.
    result<std::optional<entry>> get(std::string_view id) const
    {
        acervo_entry *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_snapshot_get(raw_.get(), detail::data_of(id), id.size(), &out, &err);
        if (code == ACERVO_NOT_FOUND) {
            acervo_error_free(err);
            return std::optional<entry>();
        }
        if (code != ACERVO_OK)
            return error(code, err);
        return std::optional<entry>(entry::adopt(out));
    }

    /// Whether there is an entry with this id.
    result<bool> contains(std::string_view id) const
    {
        result<std::optional<entry>> found = get(id);
        if (!found)
            return std::move(found).error();
        return found->has_value();
    }

    /// The entries that match all conditions of a map from fields, with an
    /// optional operator in front, to what they are compared with:
    /// `snapshot.find(value::map({{".kind", "http.*"}, {"^meta.path", "/api"}}))`.
    /// INVALID names a condition that is wrong.
    result<entry_list> find(const value &filter) const { return matches(filter, nullptr); }
    result<entry_list> find(const value &filter, page part) const
    {
        constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
        if (part.offset > most || part.limit.value_or(0) > most)
            return error(ACERVO_INVALID, "limit or offset is larger than an integer can be");
        std::vector<std::pair<value, value>> how;
        how.emplace_back("offset", part.offset);
        if (part.limit.has_value())
            how.emplace_back("limit", *part.limit);
        result<value> options = value::try_map(how.begin(), how.end());
        if (!options)
            return std::move(options).error();
        return matches(filter, options->c_handle());
    }

    /// All entries.
    result<entry_list> entries() const
    {
        acervo_entries *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_snapshot_entries(raw_.get(), &out, &err);
        return take(code, out, err);
    }

    /// The entries of exactly this namespace.
    result<entry_list> in_namespace(std::string_view ns) const
    {
        acervo_entries *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_snapshot_namespace(raw_.get(), detail::data_of(ns), ns.size(), &out, &err);
        return take(code, out, err);
    }

    /// No changes yet, based on this snapshot. In a forked child there are none
    /// to be had from an inherited snapshot: their calls give INVALID.
    acervopp::changes new_changes() const
    {
        return acervopp::changes(acervo_changes_new(raw_.get()));
    }

    /// The C snapshot, borrowed from this object.
    const acervo_snapshot *c_handle() const noexcept { return raw_.get(); }

private:
    explicit snapshot(acervo_snapshot *raw) noexcept : raw_(raw) {}

    result<entry_list> matches(const value &filter, const acervo_value *options) const
    {
        acervo_entries *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_snapshot_find(raw_.get(), filter.c_handle(), options, &out, &err);
        return take(code, out, err);
    }

    static result<entry_list> take(std::int32_t code, acervo_entries *out, acervo_error *err)
    {
        if (code != ACERVO_OK)
            return error(code, err);
        return entry_list::adopt(out);
    }

    detail::shared_handle<acervo_snapshot, acervo_snapshot_retain, acervo_snapshot_free> raw_;
};

/// What a handler is asked about.
enum class op_kind : std::int32_t {
    create = ACERVO_OP_CREATE,
    update = ACERVO_OP_UPDATE,
    remove = ACERVO_OP_DELETE,
    begin = ACERVO_OP_BEGIN,
    commit = ACERVO_OP_COMMIT,
    discard = ACERVO_OP_DISCARD,
    invalid = ACERVO_INVALID,  ///< of a moved-from op
};

/// What one handler is asked about once. Copies share it: one that is to be
/// answered later is copied. Threads: any.
class op {
public:
    /// Takes over a reference that C code owns.
    static op adopt(acervo_op *owned) noexcept { return op(owned); }
    /// Shares an op that C code keeps owning.
    static op share(acervo_op *borrowed) noexcept { return op(acervo_op_retain(borrowed)); }

    /// What is done.
    op_kind kind() const noexcept { return static_cast<op_kind>(acervo_op_kind(raw_.get())); }
    /// Whether it undoes what the handler accepted before.
    bool is_undo() const noexcept { return has(ACERVO_OP_FLAG_UNDO); }
    /// Whether it is only tried.
    bool is_dry_run() const noexcept { return has(ACERVO_OP_FLAG_DRY_RUN); }
    /// Whether another process did it: the handler is told, not asked.
    bool is_foreign() const noexcept { return has(ACERVO_OP_FLAG_FOREIGN); }

    /// The entry as it will be, for a remove the one that goes; nothing for
    /// begin, commit and discard. A reference of its own.
    std::optional<acervopp::entry> entry() const { return take(acervo_op_entry(raw_.get())); }
    /// The entry as it was, for update and remove. A reference of its own.
    std::optional<acervopp::entry> original() const
    {
        return take(acervo_op_original(raw_.get()));
    }

    /// Says yes to a pending op. INVALID "too late" if it was answered before,
    /// or nobody waits any more.
    result<void> accept()
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_op_accept(raw_.get(), &err);
        return detail::finish(code, err);
    }

    /// Says no to a pending op. `code` is the kind of the failure, `message`
    /// the reason. Otherwise as accept().
    result<void> reject(std::int32_t code = ACERVO_INVALID, std::string_view message = {})
    {
        const std::int32_t noted = note(code, message);
        if (noted != ACERVO_OK)
            return error(noted, "the code of a rejection is an ACERVO_... failure");
        acervo_error *err = nullptr;
        const std::int32_t answered = acervo_op_reject(raw_.get(), &err);
        return detail::finish(answered, err);
    }

    /// Notes why it is refused, as acervo_op_set_error.
    std::int32_t note(std::int32_t code, std::string_view message)
    {
        return acervo_op_set_error(raw_.get(), code, detail::data_of(message), message.size());
    }

    /// The C op, borrowed from this object; null after a move.
    acervo_op *c_handle() const noexcept { return raw_.get(); }

private:
    explicit op(acervo_op *raw) noexcept : raw_(raw) {}

    bool has(std::uint32_t flag) const noexcept
    {
        return (acervo_op_flags(raw_.get()) & flag) != 0;
    }

    static std::optional<acervopp::entry> take(const acervo_entry *borrowed)
    {
        if (borrowed == nullptr)
            return std::nullopt;
        return acervopp::entry::share(borrowed);
    }

    detail::shared_handle<acervo_op, acervo_op_retain, acervo_op_free> raw_;
};

/// What a handler answers.
class answer {
public:
    /// Yes.
    static answer accept() noexcept { return answer(ACERVO_ACCEPT, {}); }
    /// Later, with accept() or reject() of a copy of the op.
    static answer pending() noexcept { return answer(ACERVO_PENDING, {}); }
    /// No. `code` is the kind of the failure; ACERVO_NOT_FOUND has an operation
    /// be asked about again when others were accepted.
    static answer reject(std::int32_t code, std::string message = {}) noexcept
    {
        return answer(code, std::move(message));
    }
    /// No, for what went wrong inside.
    static answer reject(const error &why)
    {
        return answer(why.code(), std::string(why.message()));
    }

    std::int32_t code() const noexcept { return code_; }
    const std::string &message() const noexcept { return message_; }

private:
    answer(std::int32_t code, std::string message) noexcept
        : code_(code), message_(std::move(message))
    {
    }

    std::int32_t code_;
    std::string message_;
};

/// Is asked about changes; see entry_registry::on.
using handler_function = std::function<answer(const op &)>;

/// What a handler wants beside the operations.
struct handler_wants {
    bool transaction = false;  ///< begin, commit and discard of every transaction
    bool replay = false;       ///< what is there already, and what other processes do
};

namespace detail {

inline std::int32_t ask_handler(void *userdata, acervo_op *raw) noexcept
{
    const handler_function &handle = *static_cast<const handler_function *>(userdata);
    op asked = op::share(raw);
#ifdef ACERVOPP_EXCEPTIONS
    try {
#endif
        const answer given = handle(asked);
        if (given.code() < 0)
            asked.note(given.code(), given.message());
        return given.code();
#ifdef ACERVOPP_EXCEPTIONS
    } catch (const std::exception &why) {
        asked.note(ACERVO_INTERNAL, why.what());
        return ACERVO_INTERNAL;
    } catch (...) {
        asked.note(ACERVO_INTERNAL, "the handler threw something");
        return ACERVO_INTERNAL;
    }
#endif
}

inline void destroy_handler(void *userdata) noexcept
{
    delete static_cast<handler_function *>(userdata);
}

}  // namespace detail

/// A registered handler, until it is destroyed: then it is not asked any more.
///
/// Destroying it waits for a running call of the handler, unless that destroys
/// it; what the handler has left pending counts as accepted.
///
/// Ownership: move-only; keeps its database alive. Threads: one at a time.
class subscription {
public:
    /// None.
    subscription() noexcept = default;
    /// Takes over a subscription that C code owns.
    static subscription adopt(acervo_subscription *owned) noexcept { return subscription(owned); }

    /// Ends it now.
    void cancel() noexcept { acervo_subscription_cancel(raw_.release()); }

    /// Whether there is one.
    bool active() const noexcept { return raw_.get() != nullptr; }

private:
    explicit subscription(acervo_subscription *raw) noexcept : raw_(raw) {}
    detail::unique_handle<acervo_subscription, acervo_subscription_cancel> raw_;
};

/// Something that happened to the entry registry.
struct event {
    std::string kind;               ///< "registry.begin", "entry.create", ...; "gap": some were lost
    std::uint64_t version = 0;      ///< the one that is made or moved to; of a gap the current one
    std::optional<value> entry;     ///< a map of id, kind, meta, data
    std::optional<value> original;  ///< the entry as it was
    bool foreign = false;           ///< another process did it
};

namespace detail {

inline result<event> read_event(const value &map)
{
    result<std::optional<std::string>> kind = field_of<std::string>(map, "kind");
    if (!kind)
        return std::move(kind).error();
    result<std::optional<std::uint64_t>> version = field_of<std::uint64_t>(map, "version");
    if (!version)
        return std::move(version).error();
    result<std::optional<value>> entry = field_of<value>(map, "entry");
    if (!entry)
        return std::move(entry).error();
    result<std::optional<value>> original = field_of<value>(map, "original");
    if (!original)
        return std::move(original).error();
    result<std::optional<bool>> foreign = field_of<bool>(map, "foreign");
    if (!foreign)
        return std::move(foreign).error();
    return event{kind->value_or(""), version->value_or(0), *std::move(entry),
                 *std::move(original), foreign->value_or(false)};
}

}  // namespace detail

/// What happens to the entry registry, from when it was made on.
///
/// Ownership: move-only; keeps its database alive. Threads: one at a time.
class feed {
public:
    /// Takes over a feed that C code owns.
    static feed adopt(acervo_feed *owned) noexcept { return feed(owned); }

    /// The next event; waits for it. INTERNAL when the database is closed, also
    /// while this waits; what had come before can be read first.
    result<event> next() { return next_within(-1); }

    /// The next event; TIMEOUT if none comes in time.
    template <class Rep, class Period>
    result<event> next(std::chrono::duration<Rep, Period> timeout)
    {
        // What is too long to be told is for good.
        return next_within(detail::milliseconds_of(timeout).value_or(-1));
    }

    /// A descriptor for poll(2), readable while next() has something to give:
    /// an event, or that the database is closed. Borrowed from this object; not
    /// to be read or closed. -1 if there is none to be had.
    int fd() const noexcept { return acervo_feed_fd(raw_.get()); }

    /// The C feed, borrowed from this object.
    acervo_feed *c_handle() const noexcept { return raw_.get(); }

private:
    explicit feed(acervo_feed *raw) noexcept : raw_(raw) {}

    result<event> next_within(std::int64_t timeout_ms)
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_feed_next(raw_.get(), timeout_ms, &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return detail::read_event(value::adopt(out));
    }

    detail::unique_handle<acervo_feed, acervo_feed_free> raw_;
};

/// The versioned registry of typed entries. Reads look into memory and wait for
/// nobody; changes go through a snapshot.
///
/// Every call: INTERNAL after close and for a damaged history, FORKED in a
/// forked child. With a version: NOT_FOUND if there is none or it was pruned,
/// UNAVAILABLE if the database keeps no history. What writes: UNAVAILABLE when
/// the disk or another process is in the way, PERMISSION_DENIED on a read-only
/// database.
///
/// Ownership: keeps its database alive; copies share it. Threads: any.
class entry_registry {
public:
    /// The registry as it is now.
    result<acervopp::snapshot> snapshot() const
    {
        acervo_snapshot *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_snapshot_current(raw_.get(), &out, &err);
        return take(code, out, err);
    }

    /// The registry as it was at a version; 0 is the root, before any version.
    result<acervopp::snapshot> snapshot_at(std::uint64_t version) const
    {
        acervo_snapshot *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_snapshot_at(raw_.get(), version, &out, &err);
        return take(code, out, err);
    }

    /// The current version; 0 before the first.
    result<std::uint64_t> current_version() const
    {
        std::uint64_t out = 0;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_current_version(raw_.get(), &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return out;
    }

    /// Makes a version the current one, whatever branch it is on. Makes no
    /// version.
    result<void> apply_version(std::uint64_t version)
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_apply_version(raw_.get(), version, &err);
        return detail::finish(code, err);
    }

    /// All versions, ascending.
    result<std::vector<version_info>> versions() const
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_versions(raw_.get(), &out, &err);
        return detail::read_all(code, out, err, detail::read_version);
    }

    /// What is known about one version.
    result<version_info> info(std::uint64_t version) const
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_version_info(raw_.get(), version, &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return detail::read_version(value::adopt(out));
    }

    /// The version that `version` was made from; nothing for the root.
    result<std::optional<std::uint64_t>> previous(std::uint64_t version) const
    {
        return neighbour(acervo_version_previous, version);
    }

    /// The version that follows `version`: on the way to the current one, else
    /// the newest that was made from it; nothing if none was.
    result<std::optional<std::uint64_t>> next(std::uint64_t version) const
    {
        return neighbour(acervo_version_next, version);
    }

    /// Takes every version out of the history that does not descend from
    /// `version`, except the root. INVALID if it is neither the current one nor
    /// one that it comes from.
    result<void> prune(std::uint64_t version)
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_prune(raw_.get(), version, &err);
        return detail::finish(code, err);
    }

    /// The operations that turn one list of entries into another, in the order
    /// of an apply. INVALID names an element that is invalid or whose id is in
    /// the list twice, as `from[1]` for the first.
    result<std::vector<operation>> build_delta(const std::vector<entry> &from,
                                               const std::vector<entry> &to) const
    {
        const std::vector<const acervo_entry *> raw_from = handles_of(from);
        const std::vector<const acervo_entry *> raw_to = handles_of(to);
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_build_delta(raw_.get(), raw_from.data(), raw_from.size(), raw_to.data(),
                               raw_to.size(), &out, &err);
        return detail::read_all(code, out, err, detail::read_operation);
    }

    /// Has dependencies be read from one more place in entries, as
    /// "meta.server"; with `allow_wildcard` a segment may hold `*`. INVALID for
    /// a path that is none.
    result<void> register_pattern(std::string_view path, bool allow_wildcard = false)
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_register_pattern(
            raw_.get(), detail::data_of(path), path.size(), allow_wildcard, &err);
        return detail::finish(code, err);
    }

    /// The ids of the entries that depend on this one, with `transitive` also
    /// through others, sorted. NOT_FOUND if there is no such entry.
    result<std::vector<std::string>> dependents(std::string_view id,
                                                bool transitive = false) const
    {
        return related(acervo_dependents, id, transitive);
    }

    /// The ids of the entries that this one depends on.
    result<std::vector<std::string>> dependencies(std::string_view id,
                                                  bool transitive = false) const
    {
        return related(acervo_dependencies, id, transitive);
    }

    /// Has `handle` be asked about every change of an entry whose kind matches
    /// the pattern: segments between dots, `*` for any one, `**` for any
    /// number, `(a|b)` for a choice. It runs on the thread that applies, with
    /// no lock held, and sees the state before the transaction; changing
    /// entries of the same database there is INVALID. What it throws is a
    /// refusal as INTERNAL. It is destroyed after the subscription, when no
    /// call runs, or with the database. INVALID for a bad pattern; with a
    /// replay also what the handler refuses.
    result<subscription> on(std::string_view kind_pattern, handler_function handle,
                            handler_wants wants = {})
    {
        acervo_subscription *out = nullptr;
        result<void> done = add_handler(kind_pattern, std::move(handle), wants, &out);
        if (!done)
            return std::move(done).error();
        return subscription::adopt(out);
    }

    /// As on(), for as long as the database is open.
    result<void> on_always(std::string_view kind_pattern, handler_function handle,
                           handler_wants wants = {})
    {
        return add_handler(kind_pattern, std::move(handle), wants, nullptr);
    }

    /// A stream of what happens from now on, of which up to `capacity` events
    /// wait to be read; what does not fit is told as one event "gap".
    result<feed> events(std::uint32_t capacity = 1024) const
    {
        acervo_feed *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_events(raw_.get(), capacity, &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return feed::adopt(out);
    }

    /// Replays the history up to `version`, else to the stored head, on top of
    /// a baseline that is in no version, and makes that the current state;
    /// gives its version. For boot, once, before the first apply. Handlers are
    /// asked about every entry there is then. INVALID if it is too late for it,
    /// or an id is there twice.
    result<std::uint64_t> load_state(const std::vector<entry> &baseline = {},
                                     std::optional<std::uint64_t> version = std::nullopt)
    {
        const std::vector<const acervo_entry *> handles = handles_of(baseline);
        std::uint64_t out = 0;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_load_state(raw_.get(), handles.data(), handles.size(),
                              version.has_value() ? &*version : nullptr, &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return out;
    }

private:
    friend class database;
    explicit entry_registry(acervo *raw) noexcept : raw_(raw) {}

    result<void> add_handler(std::string_view kind_pattern, handler_function handle,
                             handler_wants wants, acervo_subscription **out)
    {
        if (handle == nullptr)
            return error(ACERVO_INVALID, "the handler is empty");
        const std::uint32_t flags = (wants.transaction ? ACERVO_ON_TRANSACTION : 0u) |
                                    (wants.replay ? ACERVO_ON_REPLAY : 0u);
        auto held = std::make_unique<handler_function>(std::move(handle));
        acervo_error *err = nullptr;
        // From here on the library destroys it, also when this call fails.
        const std::int32_t code =
            acervo_on(raw_.get(), detail::data_of(kind_pattern), kind_pattern.size(), flags,
                      &detail::ask_handler, held.release(), &detail::destroy_handler, out, &err);
        return detail::finish(code, err);
    }

    static result<acervopp::snapshot> take(std::int32_t code, acervo_snapshot *out,
                                           acervo_error *err)
    {
        if (code != ACERVO_OK)
            return error(code, err);
        return acervopp::snapshot::adopt(out);
    }

    static std::vector<const acervo_entry *> handles_of(const std::vector<entry> &entries)
    {
        std::vector<const acervo_entry *> handles;
        handles.reserve(entries.size());
        for (const entry &one : entries)
            handles.push_back(one.c_handle());
        return handles;
    }

    template <class Find>
    result<std::optional<std::uint64_t>> neighbour(Find find, std::uint64_t version) const
    {
        std::uint64_t out = 0;
        bool found = false;
        acervo_error *err = nullptr;
        const std::int32_t code = find(raw_.get(), version, &out, &found, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return found ? std::optional<std::uint64_t>(out) : std::nullopt;
    }

    template <class Find>
    result<std::vector<std::string>> related(Find find, std::string_view id,
                                             bool transitive) const
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code =
            find(raw_.get(), detail::data_of(id), id.size(), transitive, &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return value::adopt(out).as<std::vector<std::string>>();
    }

    detail::shared_handle<acervo, acervo_retain, acervo_free> raw_;
};

// -------------------------------------------------------------- database

/// How a database is opened; the names and values are those of
/// acervo_options_set. Move-only. Threads: one at a time.
class options {
public:
    options() noexcept : raw_(acervo_options_new()) {}

    /// Sets one option. INVALID names an option that does not exist or a value
    /// of the wrong type.
    result<void> set(std::string_view name, const value &setting)
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_options_set(raw_.get(), detail::data_of(name),
                                                     name.size(), setting.c_handle(), &err);
        return detail::finish(code, err);
    }

    /// The C options, borrowed from this object.
    const acervo_options *c_handle() const noexcept { return raw_.get(); }

private:
    detail::unique_handle<acervo_options, acervo_options_free> raw_;
};

/// How much a log message matters.
enum class log_level : std::int32_t {
    error = ACERVO_LOG_ERROR,
    warn = ACERVO_LOG_WARN,
    info = ACERVO_LOG_INFO,
    debug = ACERVO_LOG_DEBUG,
};

/// Receives log messages; see database::set_log.
using log_function = std::function<void(log_level, std::string_view)>;

/// Tells whether an actor may do an action on a resource: "registry.get" on an
/// entry's id, "registry.apply" and "registry.apply_version" on an empty one;
/// see database::set_policy.
using policy_function =
    std::function<bool(std::string_view actor, std::string_view action, std::string_view resource)>;

/// An open database file. Copies share one handle, closing one closes it for
/// all of them; another open() of the same file gives a handle of its own on
/// the same state. Threads: any.
class database {
public:
    /// Opens a file, creating it if needed; ":memory:" for none. INVALID,
    /// PERMISSION_DENIED, UNAVAILABLE or INTERNAL tell what is wrong with it.
    static result<database> open(std::string_view path)
    {
        return open_with(path, nullptr);
    }
    static result<database> open(std::string_view path, const options &how)
    {
        return open_with(path, how.c_handle());
    }
    /// `database::open("agent.db", {{"durability", "normal"}})`
    static result<database>
    open(std::string_view path, std::initializer_list<std::pair<std::string_view, value>> how)
    {
        options settings;
        for (const auto &[name, setting] : how) {
            result<void> set = settings.set(name, setting);
            if (!set)
                return std::move(set).error();
        }
        return open(path, settings);
    }

    /// Takes over a reference that C code owns.
    static database adopt(acervo *owned) noexcept { return database(owned); }
    /// Shares a handle that C code keeps owning.
    static database share(acervo *borrowed) noexcept { return database(acervo_retain(borrowed)); }

    database(const database &other) noexcept : raw_(acervo_retain(other.raw_)) {}
    database(database &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    database &operator=(database other) noexcept
    {
        std::swap(raw_, other.raw_);
        return *this;
    }
    /// Drops the reference. The last one of a file leaves flushing and closing
    /// to the background thread; close() waits for them and reports.
    ~database() { acervo_free(raw_); }

    /// The registry: fast state shared by all, written behind.
    result<kv> registry() const
    {
        acervo_kv *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_kv_registry(raw_, &out, &err);
        return take(code, out, err);
    }

    /// The store of one ident (1 to 256 bytes).
    result<kv> store(std::string_view ident) const
    {
        acervo_kv *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_kv_store(raw_, detail::data_of(ident), ident.size(), &out, &err);
        return take(code, out, err);
    }

    /// The store's global keys.
    result<kv> global() const
    {
        acervo_kv *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_kv_store(raw_, nullptr, 0, &out, &err);
        return take(code, out, err);
    }

    /// The entry registry: typed entries with their history.
    entry_registry entries() const noexcept { return entry_registry(acervo_retain(raw_)); }

    /// Returns when everything put before is on disk.
    result<void> flush()
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_flush(raw_, &err);
        return detail::finish(code, err);
    }

    /// Ends this handle and what was made from it; the last handle of a file
    /// flushes. Again: no effect.
    result<void> close()
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_close(raw_, &err);
        return detail::finish(code, err);
    }

    /// Numbers for operation, a map: keys, bytes, dirty_keys, last_error, ...
    result<value> stats() const
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_stats(raw_, &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return value::adopt(out);
    }

    /// Checks the whole file, and that memory holds what it says; repairs
    /// nothing. A map: ok (a bool), count, faults (an array of maps of what,
    /// where and found), checked (a map of figures). Damage is in the report; an
    /// error means that it could not be checked.
    result<value> check() const
    {
        acervo_value *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_check(raw_, &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return value::adopt(out);
    }

    /// Copies the database, as it is at one moment, to a new file; others read
    /// and write meanwhile. ACERVO_ALREADY_EXISTS if something is there.
    result<void> backup(std::string_view path) const
    {
        acervo_error *err = nullptr;
        const std::int32_t code = acervo_backup(raw_, path.data(), path.size(), &err);
        return detail::finish(code, err);
    }

    /// Sends log messages to `receive` instead of what received them before; an
    /// empty function removes it. It runs on whichever thread has something to
    /// say, also several at once, and must not call into this database. What it
    /// throws is dropped. The function is destroyed when it is replaced or the
    /// database ends.
    result<void> set_log(log_function receive)
    {
        acervo_error *err = nullptr;
        if (receive == nullptr) {
            const std::int32_t code = acervo_set_log(raw_, nullptr, nullptr, nullptr, &err);
            return detail::finish(code, err);
        }
        auto held = std::make_unique<log_function>(std::move(receive));
        // From here on the library destroys it, also when this call fails.
        const std::int32_t code =
            acervo_set_log(raw_, &log_message, held.release(), &destroy_log, &err);
        return detail::finish(code, err);
    }

    /// Has `allow` be asked about what scripts do with entries; an empty
    /// function removes it. It runs on the script's thread, also several at
    /// once; what it throws denies. The function is destroyed when it is
    /// replaced or the database ends.
    result<void> set_policy(policy_function allow)
    {
        acervo_error *err = nullptr;
        if (allow == nullptr) {
            const std::int32_t code = acervo_set_policy(raw_, nullptr, nullptr, nullptr, &err);
            return detail::finish(code, err);
        }
        auto held = std::make_unique<policy_function>(std::move(allow));
        // From here on the library destroys it, also when this call fails.
        const std::int32_t code =
            acervo_set_policy(raw_, &ask_policy, held.release(), &destroy_policy, &err);
        return detail::finish(code, err);
    }

    /// The C handle, borrowed from this object.
    acervo *c_handle() const noexcept { return raw_; }

private:
    explicit database(acervo *raw) noexcept : raw_(raw) {}

    static result<database> open_with(std::string_view path, const acervo_options *how)
    {
        acervo *out = nullptr;
        acervo_error *err = nullptr;
        const std::int32_t code =
            acervo_open(detail::data_of(path), path.size(), how, &out, &err);
        if (code != ACERVO_OK)
            return error(code, err);
        return database(out);
    }

    static result<kv> take(std::int32_t code, acervo_kv *out, acervo_error *err)
    {
        if (code != ACERVO_OK)
            return error(code, err);
        return kv::adopt(out);
    }

    static void log_message(void *userdata, std::int32_t level, const char *message,
                            std::size_t length) noexcept
    {
        const log_function &receive = *static_cast<const log_function *>(userdata);
#ifdef ACERVOPP_EXCEPTIONS
        try {
            receive(static_cast<log_level>(level), {message, length});
        } catch (...) {
            // There is nobody up there to catch it: the callers are C frames.
        }
#else
        receive(static_cast<log_level>(level), {message, length});
#endif
    }

    static bool ask_policy(void *userdata, const char *actor, std::size_t actor_length,
                           const char *action, std::size_t action_length, const char *resource,
                           std::size_t resource_length) noexcept
    {
        const policy_function &allow = *static_cast<const policy_function *>(userdata);
#ifdef ACERVOPP_EXCEPTIONS
        try {
            return allow({actor, actor_length}, {action, action_length},
                         {resource, resource_length});
        } catch (...) {
            return false;
        }
#else
        return allow({actor, actor_length}, {action, action_length}, {resource, resource_length});
#endif
    }

    static void destroy_policy(void *userdata) noexcept
    {
        delete static_cast<policy_function *>(userdata);
    }

    static void destroy_log(void *userdata) noexcept
    {
        delete static_cast<log_function *>(userdata);
    }

    acervo *raw_;
};

// --------------------------------------------------------------- version

/// The version of the library that runs, "0.1.0". Borrowed, static.
inline std::string_view version() noexcept { return acervo_version_string(); }

}  // namespace acervopp

#endif  // ACERVO_HPP
