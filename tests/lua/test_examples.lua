-- The example programs run and say what they should.
local t = ...

t.test("first.lua counts its runs over restarts", function()
    local directory = t.directory()
    local file = t.here() .. "/../../examples/lua/first.lua"
    for run = 1, 3 do
        local output = t.child_ok({ file = file, cwd = directory })
        t.contains(output, "server-1\t")
        t.contains(output, "servers:\tsrv1, srv2\n")
        t.contains(output, "runs:\t" .. run .. "\n")
    end
end)
