-- Appends a group of batches: all in one step, which others see whole or not at all.
-- ARGV: incarnation, the next position as the caller knows it at least, the group's number and
-- how many numbers are remembered, bytes of the log at most, window of keys, keys at most, bytes
-- of an entry at which the next begins, the events' fingerprint, batches. For each batch: items. For each item: key,
-- fingerprint, id (all may be empty), events, bytes, latest time, the events themselves. An item
-- with a key or an id is one event.
local meta = redis.call('HMGET', META, 'incarnation', 'next', 'oldest', 'bytes', 'print', 'time')
if meta[1] ~= ARGV[1] then
  return { 'other' }
end
local next, oldest, bytes, last =
  tonumber(meta[2]), tonumber(meta[3]), tonumber(meta[4]), tonumber(meta[6])
if next < tonumber(ARGV[2]) then
  return { 'back' }
end
-- A group whose answer got lost on the way is answered again, not appended again.
local number, slot = ARGV[3], ARGV[3] % ARGV[4]
local known = redis.call('HGET', NODE, slot)
if known then
  local of, answer = known:match('^(%d+) (.*)$')
  if of == number then
    return { 'ok', meta[1], meta[2], meta[3], meta[4], meta[5] or '', answer }
  end
  if tonumber(of) > tonumber(number) then
    -- It comes late over a connection that was given up: all of it has been answered long ago.
    return { 'other' }
  end
end
local bytes_max, window, uses_max, entry_max =
  tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local now = clock()
local print, before = ARGV[9], meta[5] or ''

-- The entry in the making.
local first, parts, weight, latest, ids = next, {}, 0, last, {}
local function flush()
  if next == first then
    return
  end
  local id = digits(first) .. '-' .. digits(next - first)
  -- A single part is most of it, and large: it is not copied once more.
  local body = #parts == 1 and parts[1] or table.concat(parts)
  if #ids > 0 then
    redis.call('XADD', LOG, id, 't', last, 'm', latest, 'b', weight, 'p', print, 'a', before,
      'e', body, 'i', table.concat(ids))
  else
    redis.call('XADD', LOG, id, 't', last, 'm', latest, 'b', weight, 'p', print, 'a', before,
      'e', body)
  end
  before = print
  first, parts, weight, last, ids = next, {}, 0, latest, {}
end

local function push(at)
  local id, count, item_bytes = ARGV[at + 2], tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  if id ~= '' then
    redis.call('HSET', IDS, id, digits(next))
    ids[#ids + 1] = digits(next) .. ' ' .. id .. '\n'
  end
  latest = math.max(latest, math.min(tonumber(ARGV[at + 5]), now))
  if ARGV[at] ~= '' then
    local use = digits(next) .. ' ' .. digits(latest) .. ' '
    redis.call('HSET', USES, ARGV[at], use .. print .. ' ' .. ARGV[at + 1])
    if redis.call('RPUSH', USE_ORDER, use .. ARGV[at]) > uses_max then
      local position, _, key = redis.call('LPOP', USE_ORDER):match('^(%d+) (%d+) (.+)$')
      local old = redis.call('HGET', USES, key)
      if old and old:match('^%d+') == position then
        redis.call('HDEL', USES, key)
      end
    end
  end
  parts[#parts + 1] = ARGV[at + 6]
  weight = weight + item_bytes
  bytes = bytes + item_bytes
  next = next + count
  if weight >= entry_max then
    flush()
  end
end

-- Where each item of a batch stands or will stand, with its fingerprint where it is there already;
-- nothing where a key was used for another event.
local function admit(at, items)
  local here, places, position = {}, {}, next
  for item = 1, items do
    local key, fingerprint = ARGV[at], ARGV[at + 1]
    local use_at, use_print
    if key ~= '' then
      if here[key] then
        use_at, use_print = here[key][1], here[key][2]
      else
        local use = redis.call('HGET', USES, key)
        if use then
          local stood, time, of, event = use:match('^(%d+) (%d+) (%d+) (.+)$')
          if stood and ARGV[at + 5] - time <= window then
            use_at, use_print = stood .. '.' .. of, event
          end
        end
      end
      if use_print and use_print ~= fingerprint then
        return nil
      end
      here[key] = here[key] or { use_at or digits(position) .. '.' .. print, fingerprint }
    end
    if use_at then
      places[item] = '!' .. use_at
    else
      places[item] = digits(position)
      position = position + ARGV[at + 3]
    end
    at = at + 7
  end
  return places
end

local answers, at = {}, 11
for batch = 1, tonumber(ARGV[10]) do
  local items = tonumber(ARGV[at])
  at = at + 1
  local places = admit(at, items)
  if places then
    answers[batch] = table.concat(places, ',')
    for item = 1, items do
      if places[item]:byte(1) ~= 33 then
        push(at + (item - 1) * 7)
      end
    end
  else
    answers[batch] = 'reused'
  end
  at = at + items * 7
end
flush()
if bytes > bytes_max then
  oldest, bytes = trim(oldest, next, bytes, bytes_max, 0, 64)
end
redis.call('HSET', META, 'next', digits(next), 'oldest', digits(oldest), 'bytes', digits(bytes),
  'time', digits(last), 'print', before)
local answer = print .. ' ' .. table.concat(answers, ';')
redis.call('HSET', NODE, slot, number .. ' ' .. answer)
redis.call('PEXPIRE', NODE, 600000)
return { 'ok', meta[1], digits(next), digits(oldest), digits(bytes), before, answer }
