// Logs in with the generated client and reads what only a user can read.
import { authLogin, authUserList, authProfileRetrieve } from './client/fabrik'

declare const process: { env: Record<string, string | undefined>; exitCode: number }

async function main(): Promise<void> {
  const password = process.env.FABRIK_PASSWORD ?? ''
  const refused = await authLogin({ username: 'root', password: 'not the password' })
  if (refused.status !== 401 || refused.data.detail === '') throw new Error('a wrong password is refused with a sentence')

  const login = await authLogin({ username: 'root', password })
  if (login.status !== 200) throw new Error(`the login answers ${login.status}`)
  const options = { headers: { Authorization: `Bearer ${login.data.access}` } }
  const profile = await authProfileRetrieve(options)
  if (profile.status !== 200 || profile.data.username !== 'root') throw new Error('the profile is that of root')
  const users = await authUserList({ search: 'root' }, options)
  if (users.status !== 200 || users.data.results[0]?.id !== profile.data.id) throw new Error('root is found by name')
  console.log(`logged in as ${profile.data.username}`)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
