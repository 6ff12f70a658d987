-- Gives the log a new incarnation, where it has still the old one: it has lost its end, and
-- positions that were given once will be given again.
-- ARGV: the old incarnation, the new one.
local incarnation = redis.call('HGET', META, 'incarnation')
if incarnation == ARGV[1] then
  redis.call('HSET', META, 'incarnation', ARGV[2])
end
return { 'other' }
