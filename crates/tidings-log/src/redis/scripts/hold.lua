-- Says how many a node holds of each name, and whether that is within what all nodes may hold.
-- KEYS: which nodes live; then for each name how many each node holds.
-- ARGV: the node, how long a share is kept, how long one of nothing; then for each name how many,
-- the order in which it was said, and how many all may hold ('': not asked).
local node, now = ARGV[1], clock()
-- Of each node that lives: since when what it has said counts.
local since = {}
for name, lives in pairs(fields(redis.call('HGETALL', KEYS[1]))) do
  local till, from = lives:match('^(%d+) (%d+)$')
  if tonumber(till) > now then
    since[name] = tonumber(from)
  end
end
local answers = {}
for at = 2, #KEYS do
  local first = 3 * at - 2
  local held, order, max = tonumber(ARGV[first]), tonumber(ARGV[first + 1]), tonumber(ARGV[first + 2])
  local others, known = 0, -1
  for name, share in pairs(fields(redis.call('HGETALL', KEYS[at]))) do
    local theirs, said = share:match('^(%d+) (%d+)$')
    if name == node then
      known = tonumber(said)
    elseif since[name] and tonumber(said) >= since[name] then
      others = others + tonumber(theirs)
    else
      redis.call('HDEL', KEYS[at], name)
    end
  end
  if max and others + held > max then
    answers[at - 1] = 0
  else
    answers[at - 1] = 1
    if order >= known then
      redis.call('HSET', KEYS[at], node, ARGV[first] .. ' ' .. ARGV[first + 1])
      -- Nothing is remembered for a while too, for what was said before may come after.
      local keep = ARGV[2]
      if held == 0 and others == 0 then
        keep = ARGV[3]
      end
      redis.call('PEXPIRE', KEYS[at], keep)
    end
  end
end
return answers
