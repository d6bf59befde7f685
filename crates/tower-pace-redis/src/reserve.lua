local now = (function(time) return time[1] * 1000000 + time[2] end)(redis.call('TIME'))

-- Reserves departure times of shared quotas. It is `pacing::shared::Record::apply`, statement by
-- statement: the comment above each function names its counterpart in pacing's `record.rs`, and a
-- test gives both the same calls. The reasons for the rules and for the numbers are there. Here are
-- only those of the translation.
--
-- The first line is the only one that reads the clock. The test puts its own clock in its place.
--
-- All numbers are whole and below 2^53, so that a double is exact. Products that may be larger are
-- cut to a smaller bound at once, as the saturating ones in Rust are.
--
-- KEYS has four for each quota: record, running, busy, known.
-- ARGV has the arguments of each quota one after the other, in the order in which `read_call` reads
-- them. The reply has one entry for each quota: its numbers, or the text of an error.

local VERSION = 1
-- A quota has up to four limits. A foreign number of them could hold up the server for minutes.
local MOST_LIMITS = 16
local HORIZON = 50000
local RUNNING = 30000000
local STATED = 60000000
local RETURN = 750000
local SILENCE = 200000
local LONGEST_WAIT = 300000000

local FULL = 1000
local LEAST = 50
local AFTER_THROTTLED = 800
local AFTER_RELAPSE = 700
local SLOW_STEP = 5
local FAST_STEP = 30
local SLOW_STEPS = 30
local RELAPSE_WINDOWS = 5
local SHORTEST_STEP = 1000000
local MOST_DOUBLINGS = 5

local max, min = math.max, math.min

-- `i64::div_euclid` for a positive divisor. It is exact: a quotient of whole numbers below 2^53 is
-- never rounded up to a whole number, since doubles of its size are less than 2 / b apart, and it
-- is at least 1 / b away.
local function divide(a, b)
  return math.floor(a / b)
end

-- A whole number as text. Lua's own conversion keeps 14 digits, and a time has 16.
local function text(number)
  return string.format('%.0f', number)
end

-- Reads the arguments of one quota: a `Call`, and the time for which its keys are kept.
local function read_call(next_argument)
  local function number()
    return tonumber(next_argument())
  end
  local call = {
    -- It stays text: a number of 64 bits is no double.
    process = next_argument(),
    count = number(),
    cost = number(),
    latest = number(),
    is_away = next_argument() == '1',
    -- An empty argument is no number, hence nil: no request was throttled.
    throttled = number(),
    retry_after = number(),
    accepted = number(),
    lifetime = number(),
  }
  call.quota = {
    highest = number(),
    pause = number(),
    longest_pause = number(),
    shortest_window = number(),
    unused_at_start = next_argument() == '1',
    limits = {},
  }
  for index = 1, number() do
    call.quota.limits[index] = {
      interval = number(),
      slack = number(),
      memory = number(),
      window = number(),
      by_request = number(),
    }
  end
  return call
end

-- Reads the record, or `Record::new` if there is none.
local function load_record(key)
  local fields = redis.call('HGETALL', key)
  local stored = {}
  for index = 1, #fields, 2 do
    stored[fields[index]] = tonumber(fields[index + 1])
  end
  -- The hash of another program would be overwritten, and would expire.
  local is_ours = stored.version == VERSION and stored.limits and stored.limits <= MOST_LIMITS
  if #fields > 0 and not is_ours then
    error({ err = 'WRONGFORMAT the hash is no record of version ' .. VERSION })
  end
  local record = {
    highest = stored.highest or 0,
    highest_until = stored.highest_until or 0,
    last = stored.last or 0,
    called = stored.called or 0,
    silence_ended = stored.silence_ended or 0,
    next_turn = stored.next_turn or 0,
    restored = stored.restored or 0,
    expires = stored.expires or 0,
    limits = {},
    gate = {
      open_from = stored.open_from or 0,
      closed_at = stored.closed_at or 0,
      closings = stored.closings or 0,
      share = stored.share or FULL,
      reopened = stored.reopened or 0,
    },
  }
  for index = 1, stored.limits or 0 do
    record.limits[index] = {
      next = stored['next' .. index],
      interval = stored['interval' .. index],
      slack = stored['slack' .. index],
      memory = stored['memory' .. index],
      by_request = stored['by_request' .. index],
      highest = stored['highest' .. index],
      ['until'] = stored['until' .. index],
    }
  end
  return record
end

-- Writes the record, and lets its key expire. The longest lifetime that a process has stated holds:
-- a process with a shorter one must not end the memory of a longer limit.
local function save_record(key, record, call)
  record.expires = max(record.expires, now + call.lifetime)
  local fields = {}
  local function set(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = text(value)
  end
  set('version', VERSION)
  for name, value in pairs(record) do
    if type(value) == 'number' then
      set(name, value)
    end
  end
  for name, value in pairs(record.gate) do
    set(name, value)
  end
  set('limits', #record.limits)
  for index, limit in ipairs(record.limits) do
    for name, value in pairs(limit) do
      set(name .. index, value)
    end
  end
  redis.call('HSET', key, unpack(fields))
  local lifetime = text(divide(record.expires - now, 1000) + 1)
  redis.call('PEXPIRE', key, lifetime)
  return lifetime
end

-- `Limit::at`.
local function limit_at(next)
  return {
    next = next,
    interval = 0,
    slack = 0,
    memory = 0,
    by_request = 0,
    highest = 0,
    ['until'] = 0,
  }
end

-- `stretched`.
local function stretched(time, share)
  return divide(time * FULL + share - 1, share)
end

-- `Gate::share_at`.
local function share_at(gate, call)
  if gate.closed_at == 0 then
    return FULL
  end
  local step = max(call.quota.shortest_window, SHORTEST_STEP)
  local steps = divide(max(now - gate.reopened, 0), step)
  local slow = min(steps, SLOW_STEPS) * SLOW_STEP
  local fast = max(steps - SLOW_STEPS, 0) * FAST_STEP
  return min(gate.share + slow + fast, FULL)
end

-- `Gate::known_until`.
local function known_until(gate, call)
  local jitter = call.quota.pause - call.quota.shortest_window
  return min(gate.closed_at + HORIZON + divide(jitter, 2), gate.reopened)
end

-- `Gate::close`.
local function close_gate(gate, call)
  local hint = min(call.retry_after, call.quota.longest_pause)
  -- Closed => Closed
  if gate.closed_at > 0 and call.throttled <= known_until(gate, call) then
    if hint > 0 then
      gate.open_from = max(gate.open_from, now + hint)
      gate.reopened = max(gate.reopened, gate.open_from)
    end
    return
  end
  -- (Open | Closed) => Closed
  local pause = hint
  if hint == 0 then
    local doublings = min(gate.closings, MOST_DOUBLINGS)
    pause = min(call.quota.pause * 2 ^ doublings, call.quota.longest_pause)
  end
  local is_relapse = gate.closed_at > 0
    and now < gate.reopened + RELAPSE_WINDOWS * call.quota.shortest_window
  local kept = is_relapse and AFTER_RELAPSE or AFTER_THROTTLED
  gate.share = max(divide(share_at(gate, call) * kept, FULL), LEAST)
  gate.open_from = max(gate.open_from, now + pause)
  gate.reopened = gate.open_from
  gate.closed_at = now
  gate.closings = gate.closings + 1
end

-- `Gate::record`.
local function record_gate(gate, call)
  gate.open_from = min(gate.open_from, now + call.quota.longest_pause)
  gate.reopened = min(gate.reopened, now + call.quota.longest_pause)
  gate.closed_at = min(gate.closed_at, now)
  if call.throttled then
    close_gate(gate, call)
  end
  if call.accepted > known_until(gate, call) then
    gate.closings = 0
  end
end

-- `Record::ahead`.
local function ahead(record)
  local next = record.gate.open_from
  for _, limit in ipairs(record.limits) do
    next = max(next, limit.next)
  end
  return max(next - now, 0)
end

-- `Limit::slack_at`.
local function slack_at(limit, share)
  return share == FULL and limit.slack or 0
end

-- `Record::ahead_of_burst`.
local function ahead_of_burst(record, share)
  local next = record.gate.open_from
  for _, limit in ipairs(record.limits) do
    next = max(next, limit.next, now - slack_at(limit, share))
  end
  return next - now
end

-- `Record::start`. The marker at `known` is `Record::is_known`: it has no expiry.
local function start(record, call, known)
  if #record.limits > 0 then
    return 0
  end
  local is_idle = redis.call('GET', known) or call.quota.unused_at_start
  for index, stated in ipairs(call.quota.limits) do
    local next = is_idle and now - stated.slack or now + min(stated.window, stated.memory)
    record.limits[index] = limit_at(next)
  end
  redis.call('SET', known, '1')
  return ahead(record)
end

-- `Record::state_pace`.
local function state_pace(record, call, share)
  local limits = record.limits
  while #limits > #call.quota.limits do
    local last = limits[#limits]['until']
    if now <= last and last <= now + STATED then
      break
    end
    limits[#limits] = nil
  end
  local is_slower = #limits > #call.quota.limits
  while #limits < #call.quota.limits do
    limits[#limits + 1] = limit_at(now)
  end
  for index, stated in ipairs(call.quota.limits) do
    local limit = limits[index]
    local is_alike = limit.highest == call.quota.highest and now < limit['until']
    if is_alike and limit.interval > stated.interval then
      is_slower = true
    else
      limit.interval = stated.interval
      limit.slack = stated.slack
      limit.memory = stated.memory
      limit.by_request = stated.by_request
      limit.highest = call.quota.highest
      limit['until'] = now + STATED
    end
  end
  for _, limit in ipairs(limits) do
    if call.latest > record.last then
      limit.next = max(limit.next, call.latest + limit.interval)
    end
    limit.next = min(limit.next, now + stretched(limit.memory, share))
  end
  record.last = min(max(record.last, call.latest), now + HORIZON)
  return is_slower
end

-- `Record::restore`.
local function restore(record, call)
  local is_back = now - record.silence_ended <= RETURN
  local is_first = now - record.restored > 2 * RETURN or record.restored > now
  if call.is_away and is_back and is_first then
    record.restored = now
    for _, limit in ipairs(record.limits) do
      limit.next = max(limit.next, now + RETURN)
    end
  end
end

-- `Record::raise_highest`.
local function raise_highest(record, call)
  local heavier = call.cost - record.highest
  if call.count == 0 or heavier < 0 or call.cost == 1 then
    return
  end
  local memory = 0
  for _, limit in ipairs(record.limits) do
    memory = max(memory, limit.memory)
    if limit.by_request == 0 and record.last > 0 then
      local longest = max(record.last + limit.memory - limit.next, 0)
      limit.next = limit.next + min(heavier * limit.interval, longest)
    end
  end
  record.highest = call.cost
  record.highest_until = now + 2 * memory
end

-- `Record::turn`.
local function turn(record, others, time)
  local first = ahead(record) - HORIZON / 2
  time = min(time, LONGEST_WAIT)
  local last = first + min(time * (others + 1), LONGEST_WAIT)
  local wait = min(max(record.next_turn - now, first), last, LONGEST_WAIT)
  record.next_turn = now + wait + time
  return wait
end

-- `Record::reserve`. `others` is the number of the other busy processes. Returns the departure
-- times, the wait, and the time until which the process is busy. That time has passed if it has all
-- that it asks for, and is nil if it stays as it was.
local function reserve(record, call, others, share)
  raise_highest(record, call)
  local steps = {}
  local step = 1
  for index, limit in ipairs(record.limits) do
    local units = limit.by_request == 1 and 1 or call.cost
    steps[index] = stretched(min(limit.interval * units, limit.memory), share)
    step = max(step, steps[index])
  end
  local room = divide(HORIZON - ahead_of_burst(record, share), step) + 1
  -- In Rust the division cuts off, which differs for a negative `room` only, and 1 is more then.
  local part = max(divide(room, others + 1), 1)
  local departures = {}
  for _ = 1, min(part, call.count) do
    local ahead = ahead(record)
    if ahead > HORIZON then
      break
    end
    local departure = now + ahead
    for index, limit_step in ipairs(steps) do
      local limit = record.limits[index]
      limit.next = max(limit.next, departure - slack_at(limit, share)) + limit_step
    end
    record.last = departure
    departures[#departures + 1] = departure
  end
  if call.count == 0 then
    return departures, 0, nil
  end
  if #departures >= call.count then
    return departures, 0, 0
  end
  local wait = turn(record, others, step * part)
  return departures, wait, now + 2 * max(wait, 0) + SHORTEST_STEP
end

-- The number of members of a sorted set that have not expired, and whether `process` is one. It
-- removes none: a quota with a key of a wrong type must fail before anything is written.
local function count_members(key, process)
  local expires = tonumber(redis.call('ZSCORE', key, process) or 0)
  return redis.call('ZCOUNT', key, '(' .. text(now), '+inf'), expires > now
end

-- Removes the members of a sorted set that have expired, and writes that of the process, or removes
-- it if its time has passed. Without a time it stays as it is.
local function update_members(key, process, expires, lifetime)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now))
  if not expires then
    return
  end
  if expires > now then
    redis.call('ZADD', key, text(expires), process)
    redis.call('PEXPIRE', key, lifetime)
  else
    redis.call('ZREM', key, process)
  end
end

-- `Record::apply`. The reply is a list: `reply_from` in `script.rs` reads it.
local function apply(keys, call)
  local record = load_record(keys.record)
  -- `Call::bounded`, as far as a call of `Reservations` needs it.
  call.latest = min(call.latest, now + HORIZON)
  call.quota.pause = max(call.quota.pause, call.quota.shortest_window)
  if now - record.called > SILENCE or record.called > now then
    record.silence_ended = now
  end
  record.called = now
  local processes, is_running = count_members(keys.running, call.process)
  local others, is_busy = count_members(keys.busy, call.process)
  if not is_running then
    processes = processes + 1
  end
  if is_busy then
    others = others - 1
  end
  record_gate(record.gate, call)
  if now >= record.highest_until then
    record.highest = 1
  end
  local open_from, highest = record.gate.open_from, record.highest
  local departures, wait, start_wait, is_slower = {}, 0, 0, false
  -- A call with too low a highest cost leaves its process as busy as it was.
  local busy_until = nil
  if call.quota.highest >= highest then
    start_wait = start(record, call, keys.known)
    local share = share_at(record.gate, call)
    is_slower = state_pace(record, call, share)
    restore(record, call)
    departures, wait, busy_until = reserve(record, call, others, share)
  end
  local lifetime = save_record(keys.record, record, call)
  update_members(keys.running, call.process, now + RUNNING, lifetime)
  update_members(keys.busy, call.process, busy_until, lifetime)
  local reply = { now, wait, processes, open_from, highest, is_slower and 1 or 0, start_wait }
  for _, departure in ipairs(departures) do
    reply[#reply + 1] = departure
  end
  return reply
end

local argument = 0
local function next_argument()
  argument = argument + 1
  return ARGV[argument]
end

local replies = {}
for index = 1, #KEYS, 4 do
  local keys = {
    record = KEYS[index],
    running = KEYS[index + 1],
    busy = KEYS[index + 2],
    known = KEYS[index + 3],
  }
  -- Outside the guard: it reads on to the arguments of the next quota.
  local call = read_call(next_argument)
  -- A quota that fails, as one with a key of a wrong type does, must not fail the others.
  local is_done, reply = pcall(apply, keys, call)
  if not is_done then
    reply = type(reply) == 'table' and reply.err or tostring(reply)
  end
  replies[#replies + 1] = reply
end
return replies
