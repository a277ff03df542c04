-- wrk: PUTs of 4 KB. NAMES paths in turn; 0: each PUT a new path.
local names, body, i = tonumber(os.getenv("NAMES")), string.rep("x", 4096), 0
local ready = {}

-- Over the same directories whatever the number of names.
local function format(n)
    return wrk.format("PUT", "/" .. n % 10 .. "/" .. n, nil, body)
end

function init()
    for n = 1, names do
        ready[n] = format(n)
    end
end

function request()
    i = i + 1
    if names == 0 then
        return format(os.getenv("RUN") .. string.format("%07d", i))
    end
    return ready[i % names + 1]
end

function done(summary)
    local e = summary.errors
    print("RESULT", summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout)
end
