-- Writes the calls of every function that include/acervo.h declares, as C.
--   lua generate.lua include/acervo.h calls.c
-- The types of a parameter and its place decide what is tried for it. A
-- parameter that fits none of the recipes below ends the build: a new function
-- is either tried or it needs a recipe here.
local header_path, output_path = arg[1], arg[2]

local function fail(...)
  io.stderr:write("generate.lua: ", string.format(...), "\n")
  os.exit(1)
end

local file = assert(io.open(header_path))
local header = file:read("*a")
file:close()

-- ------------------------------------------------------------------- parsing

local text = header:gsub("/%*.-%*/", ""):gsub("//[^\n]*", "")
-- Preprocessor lines, with those that they go on in.
text = ("\n" .. text):gsub("\n#[^\n]*", "\n"):gsub('extern "C" {', "")
text = text:gsub("%s+", " ")

local handles = {}
text = text:gsub("typedef struct (acervo[%w_]*) (acervo[%w_]*);", function(name)
  handles[#handles + 1] = name
  return ""
end)
text = text:gsub("typedef struct (%b{}) [%w_]+;", ""):gsub("typedef [^;]-%b() ?%b();", "")
text = text:gsub("struct lua_State;", "")

local is_handle = {}
for _, name in ipairs(handles) do is_handle[name] = true end

local function trim(s) return (s:gsub("^%s+", ""):gsub("%s+$", "")) end

-- "const char *key" gives "const char *" and "key".
local function parameter(declaration, func)
  declaration = trim(declaration)
  local name = declaration:match("^void %(%*([%w_]+)%)%(void %*[%w_]*%)$")
  if name then return { type = "void (*)(void *)", name = name } end
  local kind, rest = declaration:match("^(.-)([%w_]+)$")
  if not kind then fail("%s: cannot read the parameter %q", func, declaration) end
  return { type = trim(kind), name = rest }
end

local functions = {}
text = text:gsub("([%w_%s%*]-)([%w_]+) ?(%b());", function(result, name, list)
  local func = { name = name, result = trim(result), parameters = {} }
  local inner = trim(list:sub(2, -2))
  if inner ~= "void" then
    -- Commas inside parentheses do not separate.
    local depth, start = 0, 1
    for place = 1, #inner + 1 do
      local c = inner:sub(place, place)
      if c == "(" then depth = depth + 1 elseif c == ")" then depth = depth - 1 end
      if (c == "," and depth == 0) or place > #inner then
        local one = parameter(inner:sub(start, place - 1), name)
        func.parameters[#func.parameters + 1] = one
        start = place + 1
      end
    end
  end
  functions[#functions + 1] = func
  return ""
end)
if text:find("[^%s}]") then fail("not understood: %s", trim(text)) end
if #functions < 100 then fail("only %d functions found", #functions) end

-- ------------------------------------------------------------------- recipes

local numbers = {
  bool = "BOOL", int32_t = "INT32", int64_t = "INT64", uint32_t = "UINT32",
  uint64_t = "UINT64", size_t = "SIZE", double = "DOUBLE",
}
local out_scalars = {
  ["bool *"] = "bool", ["int32_t *"] = "int32_t", ["int64_t *"] = "int64_t",
  ["uint64_t *"] = "uint64_t", ["size_t *"] = "size_t", ["double *"] = "double",
  ["const uint8_t **"] = "const uint8_t *", ["const char **"] = "const char *",
}

local function recipe(func, place)
  local list = func.parameters
  local it, before, after = list[place], list[place - 1], list[place + 1]
  local next_is_size = after and after.type == "size_t"
  local pointee = it.type:match("^c?o?n?s?t? ?(acervo[%w_]*) %*$")
  if it.type == "acervo_error **" then return "ERR" end
  if it.type == "const char *" and next_is_size then return "TEXT" end
  if it.type == "const uint8_t *" and next_is_size then return "BYTES" end
  if it.type == "void *" and it.name == "userdata" then return "USERDATA" end
  if it.type == "void *" and next_is_size then return "BUFFER" end
  if it.type == "void (*)(void *)" then return "DESTROY" end
  if it.type:match("^acervo_[%w_]+_fn$") then return "CALLBACK" end
  if it.type == "const uint64_t *" then return "IN_UINT64" end
  if it.type == "const acervo_lua_api *" then return "LUA_API" end
  if it.type == "struct lua_State *" then return "LUA_STATE" end
  if pointee and is_handle[pointee] then return "HANDLE", pointee end
  local listed = it.type:match("^const (acervo[%w_]*) %*const %*$")
  if listed and is_handle[listed] then return "LIST", listed end
  local made = it.type:match("^(acervo[%w_]*) %*%*$")
  if made and is_handle[made] then return "OUT_HANDLE", made end
  if out_scalars[it.type] then return "OUT", nil, out_scalars[it.type] end
  if it.type == "size_t" and before then
    if before.recipe == "TEXT" or before.recipe == "BYTES" or before.recipe == "BUFFER" then
      return "LENGTH"
    elseif before.recipe == "LIST" then
      return "LIST_LENGTH"
    end
  end
  if numbers[it.type] then return numbers[it.type] end
  fail("%s: there is no recipe for the parameter `%s` of type %s; add one to generate.lua and "
    .. "boundary.c", func.name, it.name, it.type)
end

local results = {
  void = "NOTHING", bool = "NUMBER", int = "NUMBER", int32_t = "NUMBER", uint32_t = "NUMBER",
  uint64_t = "NUMBER", size_t = "NUMBER", ["const char *"] = "BORROWED",
}

local function result_of(func)
  local last = func.parameters[#func.parameters]
  if func.result == "int32_t" and last and last.recipe == "ERR" then return "CODE" end
  if results[func.result] then return results[func.result] end
  local name = func.result:match("^(acervo[%w_]*) %*$")
  if name and is_handle[name] then return "OWNED", name end
  name = func.result:match("^const (acervo[%w_]*) %*$")
  if name and is_handle[name] then return "BORROWED" end
  fail("%s: there is no recipe for the result %s", func.name, func.result)
end

-- ------------------------------------------------------------------- writing

local lines = {}
local function write(...) lines[#lines + 1] = string.format(...) end

write("/* Generated from acervo.h by generate.lua. */")
write('#include "boundary.h"\n')
for _, name in ipairs(handles) do
  -- Who adds a handle type writes these two for it, in fixture.c.
  write("void *make_%s(const struct call_site *site);", name)
  write("void release_%s(void *handle);", name)
  write("static const struct handle_type type_%s = {make_%s, release_%s};", name, name, name)
end

for index, func in ipairs(functions) do
  write("\n/* %s */", func.name)
  for place, it in ipairs(func.parameters) do
    local of, scalar
    it.recipe, of, scalar = recipe(func, place)
    it.of = of and "&type_" .. of or "NULL"
    it.size = scalar and "sizeof(" .. scalar .. ")" or "0"
  end
  if #func.parameters > 0 then
    write("static const struct parameter parameters_%d[] = {", index)
    for _, it in ipairs(func.parameters) do
      write("    {\"%s\", RECIPE_%s, %s, %s},", it.name, it.recipe, it.of, it.size)
    end
    write("};")
  end
  local arguments = {}
  for place, it in ipairs(func.parameters) do
    local slot = string.format("a[%d]", place - 1)
    if it.recipe == "DESTROY" then
      arguments[place] = slot .. ".destroy"
    elseif it.recipe == "CALLBACK" then
      arguments[place] = "(" .. it.type .. ")" .. slot .. ".function"
    elseif it.type == "double" then
      arguments[place] = slot .. ".real"
    elseif it.type:find("%*") then
      arguments[place] = "(" .. it.type .. ")" .. slot .. ".pointer"
    else
      arguments[place] = "(" .. it.type .. ")" .. slot .. ".number"
    end
  end
  local kind, owned = result_of(func)
  local call = string.format("%s(%s)", func.name, table.concat(arguments, ", "))
  write("static void call_%d(const struct argument *a, struct outcome *r)\n{", index)
  write("    (void)a;\n    (void)r;")
  if kind == "NOTHING" then
    write("    %s;", call)
  elseif kind == "OWNED" or kind == "BORROWED" then
    write("    r->pointer = (const void *)%s;", call)
  else
    write("    r->number = (int64_t)%s;", call)
  end
  write("}")
  func.entry = string.format('    {"%s", call_%d, %s, %d, RESULT_%s, %s},', func.name, index,
    #func.parameters > 0 and "parameters_" .. index or "NULL", #func.parameters, kind,
    owned and "&type_" .. owned or "NULL")
end

write("\nconst struct function functions[] = {")
for _, func in ipairs(functions) do write("%s", func.entry) end
write("};")
write("const size_t function_count = sizeof functions / sizeof functions[0];")

local output = assert(io.open(output_path, "w"))
output:write(table.concat(lines, "\n"), "\n")
assert(output:close())
