// Has everything in this process take the time for so many milliseconds later.

export function setTheClock(ahead) {
  const Right = Date;
  globalThis.Date = class extends Right {
    constructor(...given) {
      super(...(given.length > 0 ? given : [Right.now() + ahead]));
    }
    static now() {
      return Right.now() + ahead;
    }
  };
}
