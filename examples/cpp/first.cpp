// A first program: counts its own runs.   c++ -std=c++17 first.cpp $(pkg-config --cflags --libs acervo)
#include <acervo.hpp>
#include <iostream>

static int fail(const acervopp::error &why)
{
    std::cerr << "first: " << why.message() << "\n";
    return 1;
}

int main(int argc, char **argv)
{
    auto db = acervopp::database::open(argc > 1 ? argv[1] : "first.db");
    if (!db)
        return fail(db.error());
    auto store = db->store("first");
    if (!store)
        return fail(store.error());
    auto runs = store->incr("runs");
    if (!runs)
        return fail(runs.error());
    std::cout << "This program has run " << *runs << " times.\n";
    auto closed = db->close();
    return closed ? 0 : fail(closed.error());
}
