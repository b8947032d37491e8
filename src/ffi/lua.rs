//! Lua states of the host: what `acervo_lua.h` calls.
